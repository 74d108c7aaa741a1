// RunLock: one run at a time in a directory. What it can and cannot tell over several hosts: docs/distributed.md.
//
// The lock is a file that holds its owner's name and on which the owner holds an open-file-description lock (fcntl),
// which the kernel drops when the process ends, however it ends. The file appears under its name whole and locked
// (link), and its modification time beats while the owner lives: where a file system keeps such locks from other hosts,
// they judge by that.
#pragma once
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "core/made_directories.h"

namespace allreco::core {

/// Times in milliseconds; tests shorten them.
struct RunLockTimes {
  int beat = 2000;            // between two beats of the owner
  int until_refused = 60000;  // a lock that is held, without a beat: its owner is stopped, or is just dying
  int until_dead = 30000;     // a lock of another host: without a beat it is taken over
  int settle = 3000;          // after that: the last of several takers stays
};

class RunLock {
 public:
  /// The lock file inside a directory that is written in place.
  static std::filesystem::path inside(const std::filesystem::path& directory) { return directory / ".allreco.lock"; }
  /// The lock file for a directory that is built aside and renamed to `target`.
  static std::filesystem::path beside(const std::filesystem::path& target);

  /// Takes the lock `file`; its directory exists. `shown`: what it stands for, in messages. A dead owner's lock is
  /// taken over. UserError naming host, process and start when its owner lives.
  RunLock(std::filesystem::path file, std::string shown, const RunLockTimes& times = {});
  /// Removes the file.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// False once the file is no longer there under its name: its directory was moved or deleted, or the lock was taken
  /// over.
  bool is_held() const;

  /// UserError when a process of this machine holds the lock `file`. Takes nothing.
  static void require_free(const std::filesystem::path& file, const std::string& shown);

 private:
  void prepare_candidate();
  void remove_candidates() const;
  bool appear() const;
  bool take_over();
  void start_beating();

  std::filesystem::path file_;
  std::string shown_;
  RunLockTimes times_;
  std::filesystem::path candidate_;  // this process's file until it has the lock's name
  int descriptor_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread beating_;
};

/// A directory that one run writes in place. Made where it is missing; when this object goes, so does the directory if
/// nothing has been written.
class LockedDirectory {
 public:
  /// UserError as of RunLock and MadeDirectories.
  explicit LockedDirectory(std::filesystem::path path, const RunLockTimes& times = {});
  /// Fault when the directory is no longer there under its name.
  void require_in_place() const;

 private:
  std::string shown() const;

  std::filesystem::path path_;
  MadeDirectories made_;
  RunLock lock_;
};

}  // namespace allreco::core
