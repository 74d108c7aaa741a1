#include "core/run_lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/check.h"
#include "core/host.h"
#include "core/json.h"
#include "core/log.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(50);

class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

enum class Locking { acquired, busy, unsupported };

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

Locking try_lock(int descriptor) {
  struct flock lock = whole_file();
  if (::fcntl(descriptor, F_OFD_SETLK, &lock) == 0) return Locking::acquired;
  return errno == EAGAIN || errno == EACCES ? Locking::busy : Locking::unsupported;
}

bool is_same_file(int descriptor, const fs::path& name) {
  struct stat own {};
  struct stat named {};
  return ::fstat(descriptor, &own) == 0 && ::stat(name.c_str(), &named) == 0 && own.st_dev == named.st_dev &&
         own.st_ino == named.st_ino;
}

struct Owner {
  std::string machine, description = "an unknown process";
};

std::string own_record() {
  const Json record{{"host", host_name()},
                    {"process", ::getpid()},
                    {"since", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
                    {"machine", machine_identity()}};
  return record.dump() + "\n";
}

Owner owner_of(int descriptor) {
  std::string text(4096, '\0');
  const ssize_t length = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  const Json record = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  Owner owner;
  if (!record.is_object() || !record.contains("host") || !record.contains("process") || !record.contains("since"))
    return owner;
  if (record.contains("machine") && record["machine"].is_string()) owner.machine = record["machine"].get<std::string>();
  owner.description =
      fmt::format("process {} on {} since {}", record["process"].dump(), record["host"].dump(), record["since"].dump());
  std::erase(owner.description, '"');
  return owner;
}

/// The time of the last beat, by the file server's clock; opened anew, so that NFS does not answer from its cache.
std::int64_t last_beat(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return 0;
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

[[noreturn]] void refuse(const std::string& shown, const fs::path& file, const Owner& owner, const char* how) {
  user_error(
      "{} is in use by {} ({}). Wait for it or stop it, or give another directory. If that process is gone for "
      "certain, delete {}",
      shown, owner.description, how, file.string());
}

/// Looks at somebody else's lock file until it is clear what becomes of it.
class Watch {
 public:
  Watch(const fs::path& file, const std::string& shown, const RunLockTimes& times)
      : file_(file), shown_(shown), times_(times) {}

  /// What can be done now, with the lock's descriptor where it was acquired.
  enum class Finding { gone, dead_here, dead_elsewhere, wait };
  Finding look(int descriptor) {
    if (descriptor < 0) return Finding::gone;
    const Locking locking = try_lock(descriptor);
    if (!is_same_file(descriptor, file_)) return Finding::gone;
    const Owner owner = owner_of(descriptor);
    if (locking == Locking::acquired && owner.machine == machine_identity()) return Finding::dead_here;
    const std::int64_t beat = last_beat(descriptor);
    if (last_seen_ >= 0 && beat != last_seen_) ++num_beats_;
    last_seen_ = beat;
    if (num_beats_ == 2) refuse(shown_, file_, owner, "it is alive");  // one may come from an owner that is just killed
    return wait_or_judge(locking, owner);
  }

 private:
  Finding wait_or_judge(Locking locking, const Owner& owner) {
    const auto elapsed = std::chrono::steady_clock::now() - begin_;
    // A file server may keep the lock of a host that is gone, so of other hosts only the beat counts.
    const bool is_held_here = locking == Locking::busy && owner.machine == machine_identity();
    if (is_held_here && elapsed > std::chrono::milliseconds(times_.until_refused))
      refuse(shown_, file_, owner, "it holds the lock, but does not stir");
    if (!is_held_here && elapsed > std::chrono::milliseconds(times_.until_dead)) return Finding::dead_elsewhere;
    if (!said_ && elapsed > std::chrono::milliseconds(times_.beat)) {
      log_info("{} was in use by {}: watching whether that is still alive, at most {} s", shown_, owner.description,
               std::max(times_.until_refused, times_.until_dead) / 1000);
      said_ = true;
    }
    return Finding::wait;
  }

  const fs::path& file_;
  const std::string& shown_;
  const RunLockTimes& times_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::int64_t last_seen_ = -1;  // none yet
  int num_beats_ = 0;
  bool said_ = false;
};

}  // namespace

fs::path RunLock::beside(const fs::path& target) {
  return target.parent_path() / fmt::format(".{}.lock", target.filename().string());
}

RunLock::RunLock(fs::path file, std::string shown, const RunLockTimes& times)
    : file_(std::move(file)), shown_(std::move(shown)), times_(times) {
  try {
    do {
      prepare_candidate();
    } while (!appear() && !take_over());
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    ::unlink(candidate_.c_str());
    throw;
  }
  ::unlink(candidate_.c_str());
  remove_candidates();
  start_beating();
}

RunLock::~RunLock() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  beating_.join();
  if (is_held()) ::unlink(file_.c_str());  // before the kernel drops the lock
  ::close(descriptor_);
}

bool RunLock::is_held() const { return is_same_file(descriptor_, file_); }

void RunLock::require_free(const fs::path& file, const std::string& shown) {
  const OpenFile other(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (other.get() < 0) return;
  struct flock lock = whole_file();
  if (::fcntl(other.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return;
  refuse(shown, file, owner_of(other.get()), "it holds the lock");
}

/// A file of this process, with its record, locked.
void RunLock::prepare_candidate() {
  if (descriptor_ >= 0 && is_same_file(descriptor_, candidate_)) return;
  if (descriptor_ >= 0) ::close(descriptor_);
  candidate_ = file_.string() + fmt::format(".tmp-{}-{}", host_name(), ::getpid());
  ::unlink(candidate_.c_str());  // of a dead process of the same number
  descriptor_ = ::open(candidate_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  const std::string record = own_record();
  if (descriptor_ < 0 || ::write(descriptor_, record.data(), record.size()) != std::ssize(record))
    user_error("cannot write {}: {}. Give a directory that can be written", file_.string(), std::strerror(errno));
  try_lock(descriptor_);  // where there are no such locks the beat alone tells
}

/// Of processes that were killed before they had the lock. One that is about to try makes its own again.
void RunLock::remove_candidates() const {
  const std::string prefix = file_.filename().string() + ".tmp-";
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(file_.parent_path(), error))
    if (entry.path().filename().string().starts_with(prefix)) ::unlink(entry.path().c_str());
}

/// Whether the lock's name was free and is now this file's. Atomic, over NFS too.
bool RunLock::appear() const {
  if (::link(candidate_.c_str(), file_.c_str()) == 0) return true;
  const int error = errno;
  if (is_held()) return true;  // over NFS the answer may be lost
  if (error == EEXIST || error == ENOENT) return false;
  // No hard links here. Between these two calls another one may see a file that nobody has locked: it waits for a beat.
  const OpenFile free_name(::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (free_name.get() < 0 && errno != EEXIST)
    user_error("cannot write {}: {}. Give a directory that can be written", file_.string(), std::strerror(errno));
  return free_name.get() >= 0 && ::rename(candidate_.c_str(), file_.c_str()) == 0;
}

/// Waits until the owner shows that it lives (UserError), has gone (false: try again) or is dead (true: taken over).
bool RunLock::take_over() {
  for (Watch watch(file_, shown_, times_);; std::this_thread::sleep_for(kBetweenLooks)) {
    const OpenFile other(::open(file_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (other.get() < 0 && errno != ENOENT)
      user_error("cannot open {}, the lock of {}: {}", file_.string(), shown_, std::strerror(errno));
    const Watch::Finding finding = watch.look(other.get());
    if (finding == Watch::Finding::gone) return false;
    if (finding == Watch::Finding::wait) continue;
    // While the dead owner's file is locked here, no other process of this machine comes past this line.
    if (::rename(candidate_.c_str(), file_.c_str()) != 0) return false;
    if (finding == Watch::Finding::dead_here) return true;
    // Takers on other hosts may have come to the same finding: each renames within moments, and the last one stays.
    std::this_thread::sleep_for(std::chrono::milliseconds(times_.settle));
    return is_held();
  }
}

void RunLock::start_beating() {
  beating_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(times_.beat), [this] { return ending_; }))
      ::futimens(descriptor_, nullptr);  // now, by the clock of whoever keeps the file
  });
}

LockedDirectory::LockedDirectory(fs::path path, const RunLockTimes& times)
    : path_(std::move(path)), made_(path_), lock_(RunLock::inside(path_), shown(), times) {
  const fs::path whole = fs::absolute(path_).lexically_normal();
  RunLock::require_free(RunLock::beside(whole.has_filename() ? whole : whole.parent_path()), shown());
}

std::string LockedDirectory::shown() const { return fmt::format("output_dir = {}", path_.string()); }

void LockedDirectory::require_in_place() const {
  if (lock_.is_held()) return;
  fault(
      "{} is no longer the directory that this run opened: it was moved or deleted, or its lock {} was. What was "
      "written went where it is now; nothing is made anew. Put it back and resume, or start again",
      shown(), RunLock::inside(path_).string());
}

}  // namespace allreco::core
