#include "core/output_file.h"

#include <utility>

#include "core/check.h"
#include "core/files.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

fs::path directory_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

fs::path checked(const std::string& option, fs::path path, bool replaces) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);  // a link to nothing is something, too
  if (!path.has_filename() || fs::is_directory(fs::status(path, error)))
    user_error("{} = {} is a directory: give the name of a file", option, path.string());
  if (fs::exists(status) && !replaces)
    user_error("{} = {} exists: give another name, or remove it", option, path.string());
  return path;
}

}  // namespace

OutputFile::OutputFile(const std::string& option, fs::path path, bool replaces)
    : path_(checked(option, std::move(path), replaces)),
      made_(directory_of(path_)),
      lock_(RunLock::beside(directory_of(path_) / path_.filename()), fmt::format("{} = {}", option, path_.string())) {
  checked(option, path_, replaces);  // somebody may have written it up to now
}

void OutputFile::write_json(const Json& value) const { write_json_file(path_, value); }

}  // namespace allreco::core
