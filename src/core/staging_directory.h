// StagingDirectory: a directory that appears whole under its name, or not at all.
#pragma once
#include <filesystem>
#include <optional>

#include "core/interrupt.h"
#include "core/made_directories.h"
#include "core/run_lock.h"

namespace allreco::core {

/// Files are written under path(), a hidden sibling of the target; publish() renames it. Destroyed before that, it
/// removes everything that it made, parents of the target included; so does a signal, see interrupt.h. Meanwhile nobody
/// else builds that target: a lock lies beside it.
class StagingDirectory {
 public:
  /// UserError when the target exists and is not an empty directory, is a mount point (nothing can be renamed onto
  /// one), is in use by another run, or its parent cannot be made or written.
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
  void remove_dead_ones() const;

  InterruptGuard interrupts_;  // destroyed last: a signal ends the process when all below is gone
  std::filesystem::path target_;
  std::filesystem::path staging_;
  std::optional<MadeDirectories> parents_;
  std::optional<RunLock> lock_;
  bool published_ = false;
};

}  // namespace allreco::core
