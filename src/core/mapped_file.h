// A file in memory. A mapped file that somebody cuts ends the process at the first touch of a page that is gone
// (SIGBUS): then the process says which file it was, and exits with 1.
#pragma once
#include <cstdint>
#include <string>

#include "core/input_file.h"

namespace allreco::core {

/// The whole file, read-only, shared with every process that maps it. Thread-safe. At most 4096 at a time.
class MappedFile {
 public:
  /// The file may be closed afterwards. Fault when the system refuses. The first one installs the handler of SIGBUS; a
  /// SIGBUS elsewhere goes to the handler before.
  explicit MappedFile(const InputFile& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Null where the file is empty.
  const char* data() const { return data_; }
  std::uint64_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
  std::string last_words_;  // what the handler writes
  int slot_ = -1;
};

}  // namespace allreco::core
