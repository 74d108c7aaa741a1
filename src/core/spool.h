// Spool: bytes that are written once, in order, and then read in order, any number of times. What does not fit in the
// memory that it may use lies in a file without a name, which goes with the process, however that ends.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <type_traits>
#include <vector>

namespace allreco::core {

/// Opens a new file in `directory` for writing and reading, without a name where the file system can (O_TMPFILE), else
/// with one that is removed at once. UserError when that fails.
int open_nameless(const std::filesystem::path& directory);

/// One thread writes; afterwards any number of readers, each of one thread.
class Spool {
 public:
  static constexpr std::uint64_t kAlwaysInMemory = ~std::uint64_t{0};
  static constexpr std::size_t kChunkBytes = std::size_t{256} << 10;

  /// Keeps up to `memory_bytes` (and never less than one chunk) in memory; what is more goes to a file in `directory`.
  Spool(std::filesystem::path directory, std::uint64_t memory_bytes);
  ~Spool();
  Spool(Spool&& other) noexcept;
  Spool& operator=(Spool&& other) noexcept;

  /// UserError when the disk is full.
  void append(std::string_view bytes);
  template <class T>
  void append_value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append({reinterpret_cast<const char*>(&value), sizeof value});
  }

  std::uint64_t size() const { return size_; }
  /// Of these, what lies in the file.
  std::uint64_t spilled_bytes() const { return in_file_; }

 private:
  friend class SpoolReader;
  void write_chunks();
  std::size_t read_at(std::uint64_t place, char* to, std::size_t count) const;

  std::filesystem::path directory_;
  std::uint64_t memory_bytes_;
  std::vector<std::vector<char>> chunks_;  // behind what is in the file; all but the last are full
  std::uint64_t size_ = 0, in_file_ = 0;
  int descriptor_ = -1;
};

/// Reads a spool from byte `begin` to byte `end`. The spool outlives it and is written no more.
class SpoolReader {
 public:
  explicit SpoolReader(const Spool& spool, std::size_t buffer_bytes = Spool::kChunkBytes);
  SpoolReader(const Spool& spool, std::uint64_t begin, std::uint64_t end,
              std::size_t buffer_bytes = Spool::kChunkBytes);

  bool at_end() const { return place_ == end_; }
  /// The next `count` bytes, which are there until the next call. REQUIRES as many before the end.
  std::string_view read(std::size_t count);
  /// The same, and they are read again.
  std::string_view peek(std::size_t count);
  template <class T>
  T read_value() {
    T value;
    std::memcpy(&value, read(sizeof value).data(), sizeof value);
    return value;
  }
  /// The next bytes into `to`.
  void read_into(char* to, std::size_t count);
  /// At most `count` bytes, fewer only at the end.
  std::size_t read_some(char* to, std::size_t count);

 private:
  void fill(std::size_t at_least);

  const Spool& spool_;
  std::uint64_t place_, end_;  // of what read() returns next
  std::vector<char> buffer_;
  std::size_t first_ = 0, held_ = 0;  // bytes of buffer_ that are not read yet: [first_, first_ + held_)
};

}  // namespace allreco::core
