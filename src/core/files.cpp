#include "core/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "core/check.h"
#include "core/input_file.h"
#include "core/interrupt.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
    if (fd_ < 0) user_error("cannot open {}: {}", path.string(), std::strerror(errno));
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "cannot start SHA-256");
  }
  void update(const char* data, size_t size) {
    require(EVP_DigestUpdate(context_.get(), data, size) == 1, "SHA-256 update failed");
  }
  std::string hex() {
    std::array<unsigned char, 32> digest{};
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1, "SHA-256 failed");
    std::string text;
    for (unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes) {
    user_error("cannot read {}: it has {} bytes, and at most {} are read of such a file", path.string(), file.size(),
               max_bytes);
  }
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.size(), bytes.data());
  return bytes;
}

void require_plain_name(const std::string& name, const std::string& where) {
  const bool leaves = name.find('/') != std::string::npos || name.find('\0') != std::string::npos;
  if (!name.empty() && name != "." && name != ".." && !leaves) return;
  user_error("{} names the file \"{}\": expected the name of a file in the same directory", where, name);
}

void copy_file(const fs::path& from, const fs::path& to, const std::string& shown_target) {
  const InputFile checked(from);
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) {
    user_error("cannot copy {} into {}: {}. Free some space or choose another directory", from.string(), shown_target,
               error.message());
  }
  sync_path(to);
}

void sync_path(const fs::path& path) {
  Descriptor file(path, O_RDONLY);
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS)  // EINVAL: a file system without fsync
    user_error("cannot write {} to disk: {}", path.string(), std::strerror(errno));
}

void write_atomically(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path temporary = directory / fmt::format(".{}.tmp-{}", path.filename().string(), ::getpid());
  try {
    write(temporary);
    sync_path(temporary);
    std::error_code error;
    fs::rename(temporary, path, error);
    if (error) user_error("cannot rename {} to {}: {}", temporary.string(), path.string(), error.message());
    sync_path(directory);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove(temporary, ignored);
    throw;
  }
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  write_atomically(path, [&](const fs::path& temporary) {
    Descriptor file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    while (!bytes.empty()) {
      const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        user_error("cannot write {}: {}. Free some space or choose another directory", path.string(),
                   std::strerror(errno));
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  });
}

std::string sha256_of_file(const fs::path& path) {
  const InputFile file(path);
  Sha256 hash;
  std::string buffer(1 << 20, '\0');
  for (std::uint64_t done = 0; done < file.size();) {
    throw_if_interrupted();
    const std::uint64_t count = std::min<std::uint64_t>(buffer.size(), file.size() - done);
    file.read(done, count, buffer.data());
    hash.update(buffer.data(), count);
    done += count;
  }
  return hash.hex();
}

std::string sha256_of_bytes(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex();
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) {
    user_error("cannot create the directory {}: {}", path.string(),
               error ? error.message() : "a file of that name exists");
  }
}

}  // namespace allreco::core
