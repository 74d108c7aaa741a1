#include "core/staging_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/files.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

/// Absolute, links resolved as far as the path exists, no trailing slash.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  fs::path whole = fs::weakly_canonical(fs::absolute(path), error);
  if (error) user_error("cannot use {} as output directory: {}", path.string(), error.message());
  return whole.has_filename() ? whole : whole.parent_path();
}

bool is_mount_point(const fs::path& directory) {
  struct stat own {};
  struct stat parent {};
  return ::stat(directory.c_str(), &own) == 0 && ::stat((directory / "..").c_str(), &parent) == 0 &&
         (own.st_dev != parent.st_dev || own.st_ino == parent.st_ino);
}

/// Of the names under which directories are built; a process's number follows.
std::string prefix_of(const fs::path& target) { return fmt::format(".{}.tmp-", target.filename().string()); }

void check_target(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return;
  RunLock::require_free(RunLock::inside(target), fmt::format("output directory {}", target.string()));
  if (!fs::is_directory(target, error)) user_error("output directory {} is a file; give another name", target.string());
  const bool empty = fs::is_empty(target, error);
  if (error) user_error("cannot look into output directory {}: {}", target.string(), error.message());
  if (!empty)
    user_error("output directory {} is not empty; nothing is overwritten: remove it or give another name",
               target.string());
  if (is_mount_point(target))
    user_error("output directory {} is a mount point; give a directory inside it, such as {}", target.string(),
               (target / "output").string());
}

}  // namespace

StagingDirectory::StagingDirectory(const fs::path& target) : target_(resolved(target)) {
  check_target(target_);
  parents_.emplace(target_.parent_path());
  lock_.emplace(RunLock::beside(target_), fmt::format("output directory {}", target_.string()));
  check_target(target_);  // somebody may have published it up to now
  remove_dead_ones();
  staging_ = target_.parent_path() / (prefix_of(target_) + std::to_string(::getpid()));
  std::error_code error;
  fs::create_directory(staging_, error);
  if (error)
    user_error("cannot create {}: {}. Give a directory that can be written", staging_.string(), error.message());
}

StagingDirectory::~StagingDirectory() {
  std::error_code ignored;  // the error that led here is the one to report
  if (!published_) fs::remove_all(staging_, ignored);
}

/// What killed processes left: the lock says that none of them lives.
void StagingDirectory::remove_dead_ones() const {
  const std::string prefix = prefix_of(target_);
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(target_.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      fs::remove_all(entry.path());
  }
}

void StagingDirectory::publish() {
  sync_path(staging_);
  std::error_code error;
  fs::rename(staging_, target_, error);  // replaces an empty directory
  if (error)
    user_error("cannot rename {} to {}: {}. Give another output directory", staging_.string(), target_.string(),
               error.message());
  published_ = true;
  sync_path(target_.parent_path());
  lock_.reset();  // nothing is left beside what is published
}

}  // namespace allreco::core
