// NodeMemory: memory that the processes of a machine share, made by one and opened by others. Internal to dist; see
// node_shared.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace allreco::dist {

/// Anonymous memory (memfd), which goes away with the last process that maps it, whatever ends them, and which no size
/// of /dev/shm limits. One process makes it; the others open it through that one's /proc entry, until it calls close().
class NodeMemory {
 public:
  explicit NodeMemory(std::int64_t num_bytes) : num_bytes_(static_cast<size_t>(num_bytes)) {}
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// Takes all pages now, zero, and maps them to be written. UserError when this machine has no memory for them.
  void create();
  /// Maps, to be read, what another's place() names. UserError when it cannot be opened, or is not what was meant.
  void open(const std::string& place);

  /// Where others find it, and how they know it. "none" stands for memory that is not open.
  std::string place() const;
  /// Nobody can open it any more; what is mapped stays.
  void close();
  /// From now on it is only read here, too.
  void protect();

  char* at(std::int64_t first_byte) const { return static_cast<char*>(address_) + first_byte; }
  std::int64_t num_bytes() const { return static_cast<std::int64_t>(num_bytes_); }

 private:
  std::string identity() const;
  [[noreturn]] void no_memory(std::int64_t available) const;
  void map(int protection);

  size_t num_bytes_;
  int fd_ = -1;
  void* address_ = nullptr;
};

}  // namespace allreco::dist
