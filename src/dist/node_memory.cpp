#include "dist/node_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/memory.h"

namespace allreco::dist {
namespace {

[[noreturn]] void not_shared(const std::string& path, const std::string& why) {
  core::user_error(
      "cannot open the memory that the ranks of this node share ({}): {}. They must run as one user and see one "
      "another's processes; else let every rank map a "
      "model that need not be quantised: model_loading = mmap, and of load_in_4bit what `allreco quantize` writes",
      path, why);
}

}  // namespace

NodeMemory::~NodeMemory() {
  if (address_ != nullptr) ::munmap(address_, num_bytes_);
  close();
}

// No size limits a memfd: asking for more than there is would not fail, the kernel would kill this process or others.
// So it is asked first.
void NodeMemory::create() {
  if (const std::int64_t available = core::available_memory_bytes(); num_bytes() > available) no_memory(available);
  fd_ = ::memfd_create("allreco", MFD_CLOEXEC);
  if (fd_ < 0) core::fault("memfd_create failed: {}", std::strerror(errno));
  int error = EINTR;  // a stop signal ends it early
  while (error == EINTR) error = ::posix_fallocate(fd_, 0, static_cast<off_t>(num_bytes_));
  if (error == ENOSPC || error == ENOMEM) no_memory(core::available_memory_bytes());
  if (error != 0) core::fault("cannot take {} bytes of shared memory: {}", num_bytes_, std::strerror(error));
  map(PROT_READ | PROT_WRITE);
}

void NodeMemory::open(const std::string& place) {
  const size_t end = place.find(' ');
  const std::string path = place.substr(0, end);
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) not_shared(path, std::strerror(errno));
  // Where ranks see processes of their own only, the maker's number may be another one's.
  if (identity() != place.substr(end + 1)) not_shared(path, "it is another process's");
  map(PROT_READ);
}

std::string NodeMemory::place() const { return fmt::format("/proc/{}/fd/{} {}", ::getpid(), fd_, identity()); }

void NodeMemory::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void NodeMemory::protect() {
  if (::mprotect(address_, num_bytes_, PROT_READ) != 0) core::fault("mprotect failed: {}", std::strerror(errno));
}

std::string NodeMemory::identity() const {
  struct stat status {};
  if (fd_ < 0) return "none";
  if (::fstat(fd_, &status) != 0) core::fault("fstat failed: {}", std::strerror(errno));
  return fmt::format("{}:{}:{}", status.st_dev, status.st_ino, status.st_size);
}

void NodeMemory::no_memory(std::int64_t available) const {
  core::user_error(
      "the model that the ranks of a node share takes {} bytes of memory, but this node has {} to give: use a node (or "
      "a job) with more memory, or let every rank map the files: model_loading = mmap, and of load_in_4bit what "
      "`allreco quantize` writes",
      num_bytes_, available);
}

void NodeMemory::map(int protection) {
  void* const address = ::mmap(nullptr, num_bytes_, protection, MAP_SHARED, fd_, 0);
  if (address == MAP_FAILED) core::fault("cannot map {} bytes of shared memory: {}", num_bytes_, std::strerror(errno));
  address_ = address;
}

}  // namespace allreco::dist
