// OutputFile: one file that a command writes where it was told to. It appears whole, replaces nothing that it was not
// told to replace, and of two processes that are to write the same one only one begins.
#pragma once
#include <filesystem>
#include <string>

#include "core/json.h"
#include "core/made_directories.h"
#include "core/run_lock.h"

namespace allreco::core {

/// Made before the work whose result it takes, so that what cannot be written is known before. While it is there,
/// `.NAME.lock` lies beside the file.
class OutputFile {
 public:
  /// `option`: by which the user named it. UserError naming both when the file is there and is not to be replaced, when
  /// it is a directory, when another process is writing it, or when its directory can neither be made nor written.
  OutputFile(const std::string& option, std::filesystem::path path, bool replaces = false);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write_json(const Json& value) const;

 private:
  std::filesystem::path path_;
  MadeDirectories made_;
  RunLock lock_;
};

}  // namespace allreco::core
