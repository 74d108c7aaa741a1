// The one way by which files are opened for reading: what is no regular file (a FIFO, a device, a directory) is refused
// before it is opened, as opening or reading it may wait for ever or never end.
#pragma once
#include <cstdint>
#include <filesystem>

namespace allreco::core {

/// A regular file, open for reading at any place; reads are thread-safe.
class InputFile {
 public:
  /// UserError naming the file when it is missing, may not be read, or is no regular file. Links are followed.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  /// Exactly `count` bytes; UserError when the file ends before.
  void read(std::uint64_t first_byte, std::uint64_t count, void* to) const;
  /// When it was opened, in bytes.
  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace allreco::core
