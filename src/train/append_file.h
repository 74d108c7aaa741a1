// AppendFile: a log that grows by whole pieces, and survives a disk that is full for a while.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace allreco::train {

class AppendFile {
 public:
  /// Opens `path` for appending, and creates it. UserError when that fails.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Kept in memory until flush().
  void add(std::string_view piece) { pending_ += piece; }
  /// Hands all that was added to the system. False: the disk refused; the file is as it was, and the pieces wait for
  /// the next call.
  bool flush();
  /// flush(), at the end: UserError, with the system's reason, when the disk still refuses.
  void finish();

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::int64_t size_ = 0;  // of the file, in whole pieces
  std::string pending_;
  std::string reason_;
};

}  // namespace allreco::train
