#include "core/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/check.h"

namespace allreco::core {

namespace {

[[noreturn]] void cannot_write_in(const std::filesystem::path& directory) {
  user_error("cannot write in {}: {}. Free some space or choose another directory", directory.string(),
             std::strerror(errno));
}

}  // namespace

int open_nameless(const std::filesystem::path& directory) {
  int descriptor = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  std::string name = (directory / ".spill-XXXXXX").string();
  descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) cannot_write_in(directory);
  ::unlink(name.c_str());
  return descriptor;
}

Spool::Spool(std::filesystem::path directory, std::uint64_t memory_bytes)
    : directory_(std::move(directory)), memory_bytes_(std::max<std::uint64_t>(memory_bytes, kChunkBytes)) {}

Spool::Spool(Spool&& other) noexcept
    : directory_(std::move(other.directory_)),
      memory_bytes_(other.memory_bytes_),
      chunks_(std::move(other.chunks_)),
      size_(other.size_),
      in_file_(other.in_file_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

Spool& Spool::operator=(Spool&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(memory_bytes_, other.memory_bytes_);
  std::swap(chunks_, other.chunks_);
  std::swap(size_, other.size_);
  std::swap(in_file_, other.in_file_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Spool::~Spool() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Spool::append(std::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (chunks_.empty() || chunks_.back().size() == kChunkBytes) {
      if ((chunks_.size() + 1) * kChunkBytes > memory_bytes_) write_chunks();
      chunks_.emplace_back();
      if (chunks_.size() > 1) chunks_.back().reserve(kChunkBytes);
    }
    std::vector<char>& chunk = chunks_.back();
    const std::size_t count = std::min(bytes.size(), kChunkBytes - chunk.size());
    chunk.insert(chunk.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes.remove_prefix(count);
  }
}

void Spool::write_chunks() {
  if (descriptor_ < 0) descriptor_ = open_nameless(directory_);
  for (const std::vector<char>& chunk : chunks_) {
    for (std::size_t done = 0; done < chunk.size();) {
      const ssize_t written = ::write(descriptor_, chunk.data() + done, chunk.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) cannot_write_in(directory_);
      done += static_cast<std::size_t>(written);
    }
    in_file_ += chunk.size();
  }
  chunks_.clear();
}

std::size_t Spool::read_at(std::uint64_t place, char* to, std::size_t count) const {
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - place));
  for (std::size_t done = 0; done < count;) {
    const std::uint64_t at = place + done;
    if (at < in_file_) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(count - done, in_file_ - at));
      const ssize_t got = ::pread(descriptor_, to + done, wanted, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) fault("cannot read back {} bytes in {}: {}", wanted, directory_.string(), std::strerror(errno));
      done += static_cast<std::size_t>(got);
    } else {
      const std::vector<char>& chunk = chunks_[(at - in_file_) / kChunkBytes];
      const std::size_t first = (at - in_file_) % kChunkBytes;
      const std::size_t wanted = std::min(count - done, chunk.size() - first);
      std::memcpy(to + done, chunk.data() + first, wanted);
      done += wanted;
    }
  }
  return count;
}

SpoolReader::SpoolReader(const Spool& spool, std::size_t buffer_bytes)
    : SpoolReader(spool, 0, spool.size(), buffer_bytes) {}

SpoolReader::SpoolReader(const Spool& spool, std::uint64_t begin, std::uint64_t end, std::size_t buffer_bytes)
    : spool_(spool), place_(begin), end_(end) {
  require(begin <= end && end <= spool.size(), "a reader stays within its spool");
  buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(buffer_bytes, end - begin)));
}

void SpoolReader::fill(std::size_t at_least) {
  if (held_ >= at_least) return;
  std::memmove(buffer_.data(), buffer_.data() + first_, held_);
  first_ = 0;
  if (buffer_.size() < at_least) buffer_.resize(at_least);
  const std::uint64_t left = end_ - place_ - held_;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size() - held_, left));
  held_ += spool_.read_at(place_ + held_, buffer_.data() + held_, wanted);
  require(held_ >= at_least, "what is read from a spool was written to it");
}

std::string_view SpoolReader::read(std::size_t count) {
  if (count == 0) return {};
  fill(count);
  const std::string_view bytes(buffer_.data() + first_, count);
  first_ += count;
  held_ -= count;
  place_ += count;
  return bytes;
}

std::string_view SpoolReader::peek(std::size_t count) {
  if (count > 0) fill(count);
  return {buffer_.data() + first_, count};
}

void SpoolReader::read_into(char* to, std::size_t count) {
  if (count > 0) std::memcpy(to, read(count).data(), count);
}

std::size_t SpoolReader::read_some(char* to, std::size_t count) {
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, end_ - place_));
  read_into(to, count);
  return count;
}

}  // namespace allreco::core
