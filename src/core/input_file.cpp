#include "core/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/check.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return S_ISSOCK(mode) ? "a socket" : "something else";
}

void require_regular(const fs::path& path, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return;
  user_error("cannot read {}: it is {}, a regular file is needed", path.string(), kind_of(status.st_mode));
}

}  // namespace

InputFile::InputFile(const fs::path& path) : path_(path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) user_error("cannot read {}: {}", path.string(), std::strerror(errno));
  require_regular(path, status);
  // Not to wait for the other end of a FIFO that has taken the file's place meanwhile.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) user_error("cannot read {}: {}", path.string(), std::strerror(errno));
  try {
    if (::fstat(descriptor_, &status) != 0) user_error("cannot read {}: {}", path.string(), std::strerror(errno));
    require_regular(path, status);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

void InputFile::read(std::uint64_t first_byte, std::uint64_t count, void* to) const {
  auto* place = static_cast<char*>(to);
  while (count > 0) {
    const ssize_t done = ::pread(descriptor_, place, count, static_cast<off_t>(first_byte));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      user_error("cannot read {} at byte {}: {}", path_.string(), first_byte,
                 done == 0 ? "the file ends there; it was cut while in use" : std::strerror(errno));
    }
    place += done;
    first_byte += static_cast<std::uint64_t>(done);
    count -= static_cast<std::uint64_t>(done);
  }
}

}  // namespace allreco::core
