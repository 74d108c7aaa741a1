// failing_files: loaded into a program with LD_PRELOAD, makes its file system calls fail, or ends the program inside
// one. Counted are the calls that change a directory tree (open for writing, write, fsync, rename, mkdir, symlink,
// unlink ...) on paths below FAILING_FILES_DIR, one count over all threads, beginning with 1 in each window.
//
//   FAILING_FILES_DIR     absolute path; only what lies below it counts
//   FAILING_FILES_SKIP    comma-separated; paths that contain one of these do not count
//   FAILING_FILES_PLAN    comma-separated SAVE:NUMBER:ACTION. The window SAVE opens with the first call whose path
//                         contains "checkpoint-SAVE" (SAVE and then no digit) and ends when the next window opens; in
//                         it the call NUMBER meets ACTION. With SAVE = * there is one window, from the start on.
//   FAILING_FILES_REPORT  a file that gets a line "SAVE NUMBER CALL PATH RESULT" per counted call
//   FAILING_FILES_MARK    a file that is made just before a call meets stop or hang, so that a test can wait for it
//
// ACTION: an errno (EIO, EACCES, ENOSPC, EDQUOT): this call fails and does nothing; errno+ (ENOSPC+): this and every
// later call of the window that adds data or names fails; short: half of the bytes are written, which POSIX allows;
// kill: SIGKILL before the call; kill_half: SIGKILL after half of the bytes; stop: SIGSTOP before the call; hang: the
// call never returns, only its thread is stuck.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Action {
  std::string name;      // kill, short, ... or "errno"
  int error = 0;         // for "errno"
  bool lasting = false;  // for "errno": also the later calls of the window
};

struct Plan {
  std::string directory, report, mark;
  std::vector<std::string> skipped;
  std::map<std::pair<std::string, long>, Action> actions;  // by (window, number)
};

[[noreturn]] void refuse(const std::string& message) {
  std::fprintf(stderr, "failing_files: %s\n", message.c_str());
  std::_Exit(99);
}

template <class Function>
Function next(const char* name) {
  void* found = ::dlsym(RTLD_NEXT, name);
  if (found == nullptr) refuse(std::string("there is no function ") + name);
  return reinterpret_cast<Function>(found);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Action parse_action(std::string name) {
  Action action;
  if (name.ends_with('+')) {
    action.lasting = true;
    name.pop_back();
  }
  const std::map<std::string, int> errors{{"EIO", EIO}, {"EACCES", EACCES}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}};
  if (const auto error = errors.find(name); error != errors.end()) {
    action.name = "errno";
    action.error = error->second;
  } else if (!action.lasting &&
             (name == "short" || name == "kill" || name == "kill_half" || name == "stop" || name == "hang")) {
    action.name = name;
  } else {
    refuse("unknown action " + name);
  }
  return action;
}

Plan read_plan() {
  Plan plan{environment("FAILING_FILES_DIR"),
            environment("FAILING_FILES_REPORT"),
            environment("FAILING_FILES_MARK"),
            split(environment("FAILING_FILES_SKIP"), ','),
            {}};
  for (const std::string& entry : split(environment("FAILING_FILES_PLAN"), ',')) {
    const auto parts = split(entry, ':');
    if (parts.size() != 3) refuse("expected SAVE:NUMBER:ACTION, found " + entry);
    plan.actions[{parts[0], std::atol(parts[1].c_str())}] = parse_action(parts[2]);
  }
  return plan;
}

/// The step of the first "checkpoint-STEP" in the path, or empty.
std::string save_of(const std::string& path) {
  constexpr std::string_view kPrefix = "checkpoint-";
  const size_t found = path.find(kPrefix);
  if (found == std::string::npos) return "";
  const size_t begin = found + kPrefix.size();
  size_t end = begin;
  while (end < path.size() && path[end] >= '0' && path[end] <= '9') ++end;
  return path.substr(begin, end - begin);
}

std::string link_of(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(link.c_str(), target, sizeof(target));
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

std::string absolute(int directory, const char* path) {
  if (path == nullptr) return "";
  if (path[0] == '/') return path;
  const std::string base =
      directory == AT_FDCWD ? link_of("/proc/self/cwd") : link_of("/proc/self/fd/" + std::to_string(directory));
  return base + "/" + path;
}

std::string path_of(int fd) { return link_of("/proc/self/fd/" + std::to_string(fd)); }

/// Counts the calls and knows what the next one meets. One per process, used by every thread.
class Faults {
 public:
  static Faults& instance() {
    static Faults* faults = new Faults;  // never destroyed: other libraries write until the very end
    return *faults;
  }

  /// Counts a call on `path` (a rename: on both). `adds`: it needs space or makes a name.
  std::optional<Action> meet(const char* call, const std::string& path, bool adds, const std::string& second = "") {
    if (!counts(path) && !counts(second)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    open_window(save_of(path).empty() ? save_of(second) : save_of(path));
    const auto action = action_of(++number_, adds);
    report(call, second.empty() ? path : path + " -> " + second, action);
    return action;
  }

  void mark() const {
    if (!plan_.mark.empty())
      ::close(next<int (*)(const char*, int, ...)>("open")(plan_.mark.c_str(), O_CREAT | O_WRONLY, 0644));
  }

 private:
  Faults()
      : plan_(read_plan()),
        whole_run_(!plan_.actions.empty() && plan_.actions.begin()->first.first == "*"),
        window_(whole_run_ ? 1 : 0, '*') {}

  bool counts(const std::string& path) const {
    if (plan_.directory.empty() || !path.starts_with(plan_.directory)) return false;
    for (const std::string& part : plan_.skipped)
      if (path.find(part) != std::string::npos) return false;
    return true;
  }

  // An older checkpoint that is deleted, or a link to it, belongs to the save that is going on.
  void open_window(const std::string& save) {
    if (whole_run_ || save.empty() || (!window_.empty() && std::stol(save) <= std::stol(window_))) return;
    window_ = save;
    number_ = 0;
    lasting_.reset();
  }

  std::optional<Action> action_of(long number, bool adds) {
    const auto found = plan_.actions.find({window_, number});
    if (found != plan_.actions.end()) {
      if (found->second.lasting) lasting_ = found->second;
      return found->second;
    }
    return adds ? lasting_ : std::nullopt;
  }

  void report(const char* call, const std::string& path, const std::optional<Action>& action) const {
    if (plan_.report.empty()) return;
    const std::string line = (window_.empty() ? "-" : window_) + " " + std::to_string(number_) + " " + call + " " +
                             path + " " + (action ? action->name : "done") + "\n";
    static const auto real_open = next<int (*)(const char*, int, ...)>("open");
    static const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");
    const int file = real_open(plan_.report.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0 || real_write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      refuse("cannot write " + plan_.report);
    ::close(file);
  }

  Plan plan_;
  bool whole_run_ = false;
  std::mutex mutex_;
  std::string window_;
  long number_ = 0;
  std::optional<Action> lasting_;
};

/// Does what ends or stops the process; true: the call fails with errno.
bool fails(const std::optional<Action>& action) {
  if (!action) return false;
  if (action->name == "kill") ::raise(SIGKILL);
  if (action->name == "stop" || action->name == "hang") Faults::instance().mark();
  if (action->name == "stop") ::raise(SIGSTOP);
  while (action->name == "hang") ::pause();
  errno = action->error;
  return action->name == "errno";
}

bool halves(const std::optional<Action>& action) {
  return action && (action->name == "short" || action->name == "kill_half");
}

/// A write of which only the first half of the bytes is done.
ssize_t write_half(int fd, const Action& action, const iovec* parts, int count) {
  size_t size = 0;
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  size = bytes.size() > 1 ? bytes.size() / 2 : bytes.size();
  const ssize_t written = next<ssize_t (*)(int, const void*, size_t)>("write")(fd, bytes.data(), size);
  if (action.name == "kill_half") ::raise(SIGKILL);
  return written;
}

bool for_writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0; }

FILE* open_stream(const char* symbol, const char* path, const char* mode) {
  if (std::strpbrk(mode, "wa+") != nullptr && fails(Faults::instance().meet("fopen", absolute(AT_FDCWD, path), true)))
    return nullptr;
  return next<FILE* (*)(const char*, const char*)>(symbol)(path, mode);
}

int open_file(const char* symbol, const char* path, int flags, mode_t mode) {
  if (for_writing(flags) && fails(Faults::instance().meet("open", absolute(AT_FDCWD, path), true))) return -1;
  return next<int (*)(const char*, int, ...)>(symbol)(path, flags, mode);
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

// The functions of libc that a C++ program reaches them by; std::ofstream opens with fopen, std::filesystem removes
// trees with unlinkat.
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file("open64", path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) { return open_stream("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return open_stream("fopen64", path, mode); }

ssize_t write(int fd, const void* data, size_t size) {
  const auto action = Faults::instance().meet("write", path_of(fd), true);
  if (fails(action)) return -1;
  if (halves(action)) {
    const iovec part{const_cast<void*>(data), size};
    return write_half(fd, *action, &part, 1);
  }
  return next<ssize_t (*)(int, const void*, size_t)>("write")(fd, data, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  const auto action = Faults::instance().meet("writev", path_of(fd), true);
  if (fails(action)) return -1;
  if (halves(action)) return write_half(fd, *action, parts, count);
  return next<ssize_t (*)(int, const iovec*, int)>("writev")(fd, parts, count);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (fails(Faults::instance().meet("pwrite", path_of(fd), true))) return -1;
  return next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(fd, data, size, offset);
}

int fsync(int fd) {
  if (fails(Faults::instance().meet("fsync", path_of(fd), true))) return -1;
  return next<int (*)(int)>("fsync")(fd);
}

int fdatasync(int fd) {
  if (fails(Faults::instance().meet("fdatasync", path_of(fd), true))) return -1;
  return next<int (*)(int)>("fdatasync")(fd);
}

int ftruncate(int fd, off_t length) {
  if (fails(Faults::instance().meet("ftruncate", path_of(fd), false))) return -1;
  return next<int (*)(int, off_t)>("ftruncate")(fd, length);
}

int rename(const char* from, const char* to) {
  if (fails(Faults::instance().meet("rename", absolute(AT_FDCWD, from), true, absolute(AT_FDCWD, to)))) return -1;
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  if (fails(Faults::instance().meet("renameat", absolute(from_directory, from), true, absolute(to_directory, to))))
    return -1;
  return next<int (*)(int, const char*, int, const char*)>("renameat")(from_directory, from, to_directory, to);
}

int mkdir(const char* path, mode_t mode) {
  if (fails(Faults::instance().meet("mkdir", absolute(AT_FDCWD, path), true))) return -1;
  return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int symlink(const char* target, const char* path) {
  if (fails(Faults::instance().meet("symlink", absolute(AT_FDCWD, path), true))) return -1;
  return next<int (*)(const char*, const char*)>("symlink")(target, path);
}

int link(const char* from, const char* to) {
  if (fails(Faults::instance().meet("link", absolute(AT_FDCWD, to), true))) return -1;
  return next<int (*)(const char*, const char*)>("link")(from, to);
}

int unlink(const char* path) {
  if (fails(Faults::instance().meet("unlink", absolute(AT_FDCWD, path), false))) return -1;
  return next<int (*)(const char*)>("unlink")(path);
}

int unlinkat(int directory, const char* path, int flags) {
  if (fails(Faults::instance().meet("unlinkat", absolute(directory, path), false))) return -1;
  return next<int (*)(int, const char*, int)>("unlinkat")(directory, path, flags);
}

int rmdir(const char* path) {
  if (fails(Faults::instance().meet("rmdir", absolute(AT_FDCWD, path), false))) return -1;
  return next<int (*)(const char*)>("rmdir")(path);
}

int remove(const char* path) {
  if (fails(Faults::instance().meet("remove", absolute(AT_FDCWD, path), false))) return -1;
  return next<int (*)(const char*)>("remove")(path);
}

}  // extern "C"
