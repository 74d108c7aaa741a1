#include "train/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"

namespace allreco::train {

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) core::user_error("cannot write {}: {}", path_.string(), std::strerror(errno));
  size_ = ::lseek(descriptor_, 0, SEEK_END);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

bool AppendFile::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      reason_ = std::strerror(errno);
      if (rest.size() < pending_.size() && ::ftruncate(descriptor_, size_) != 0)
        core::user_error("cannot write {}: {}, and half a line stays at its end", path_.string(), reason_);
      return false;
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  size_ += std::ssize(pending_);
  pending_.clear();
  return true;
}

void AppendFile::finish() {
  if (flush()) return;
  core::user_error("cannot write {}: {}. Free some space and resume", path_.string(), reason_);
}

}  // namespace allreco::train
