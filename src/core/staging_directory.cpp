#include "core/staging_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

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

void check_target(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return;
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
  staging_ = target_.parent_path() / fmt::format(".{}.tmp-{}", target_.filename().string(), ::getpid());
  try {
    make_parents();
    std::error_code error;
    if (!fs::create_directory(staging_, error))
      user_error("cannot create {}: {}. Give a directory that can be written", staging_.string(),
                 error ? error.message() : "it exists already; remove it");
  } catch (...) {
    staging_.clear();  // not ours
    remove_what_was_made();
    throw;
  }
}

StagingDirectory::~StagingDirectory() {
  if (!published_) remove_what_was_made();
}

void StagingDirectory::make_parents() {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path p = target_.parent_path(); !fs::exists(p, error) && p.has_relative_path(); p = p.parent_path())
    missing.push_back(p);
  std::reverse(missing.begin(), missing.end());
  for (const fs::path& p : missing) {
    make_directory(p);
    made_parents_.push_back(p);
  }
}

void StagingDirectory::remove_what_was_made() noexcept {
  std::error_code ignored;  // the error that led here is the one to report
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
  for (auto p = made_parents_.rbegin(); p != made_parents_.rend(); ++p) fs::remove(*p, ignored);  // only if empty
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
}

}  // namespace allreco::core
