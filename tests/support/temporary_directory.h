// A directory of one test.
#pragma once
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/check.h"

namespace allreco::support {

/// An empty directory under TMPDIR that goes away with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "allreco-XXXXXX").string();
    core::require(::mkdtemp(pattern.data()) != nullptr, "cannot make a temporary directory");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  /// How many files and directories lie directly in it.
  size_t num_entries() const {
    using Iterator = std::filesystem::directory_iterator;
    return static_cast<size_t>(std::distance(Iterator(path_), Iterator{}));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace allreco::support
