// StagingDirectory: a directory that appears whole under its name, or not at all.
#pragma once
#include <filesystem>
#include <vector>

namespace allreco::core {

/// Files are written under path(), a hidden sibling of the target; publish() renames it. Destroyed before that, it
/// removes everything that it made, parents of the target included.
class StagingDirectory {
 public:
  /// UserError when the target exists and is not an empty directory, is a mount point (nothing can be renamed onto
  /// one), or its parent cannot be made or written.
  explicit StagingDirectory(const std::filesystem::path& target);
  ~StagingDirectory();
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& target() const { return target_; }
  /// fsync of the staging directory, rename, fsync of the parent. The files in it have been synced by whoever wrote
  /// them.
  void publish();

 private:
  void make_parents();
  void remove_what_was_made() noexcept;

  std::filesystem::path target_;
  std::filesystem::path staging_;
  std::vector<std::filesystem::path> made_parents_;  // outermost first
  bool published_ = false;
};

}  // namespace allreco::core
