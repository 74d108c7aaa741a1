#include "data/store/shard_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/files.h"
#include "data/store/shard_format.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kCopyBytes = 1 << 20;  // from the waiting tokens to HDF5 at a time

/// A file that nobody else sees and that vanishes with the process.
std::FILE* open_nameless(const fs::path& directory) {
  std::string name = (directory / ".tokens-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0)
    core::user_error("cannot write in {}: {}. Free some space or choose another directory", directory.string(),
                     std::strerror(errno));
  ::unlink(name.c_str());
  std::FILE* file = ::fdopen(descriptor, "w+b");
  core::require(file != nullptr, "fdopen of a fresh descriptor");
  return file;
}

template <class T>
void append_ids(std::vector<char>& bytes, const std::vector<TokenId>& ids) {
  bytes.resize(ids.size() * sizeof(T));
  for (size_t i = 0; i < ids.size(); ++i) {
    const T id = static_cast<T>(ids[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &id, sizeof(T));
  }
}

std::int64_t largest_item(const Example& example) {
  std::int64_t largest = -1;
  if (example.target) largest = *example.target;
  if (example.last_item) largest = std::max<std::int64_t>(largest, *example.last_item);
  for (std::uint32_t item : example.history) largest = std::max<std::int64_t>(largest, item);
  for (std::uint32_t candidate : example.candidates) largest = std::max<std::int64_t>(largest, candidate);
  return largest;
}

template <class T>
bool any_known(const std::vector<T>& column, T unknown) {
  return std::any_of(column.begin(), column.end(), [&](T value) { return value != unknown; });
}

}  // namespace

ShardWriter::ShardWriter(const fs::path& directory, const ShardIdentity& identity)
    : directory_(directory),
      identity_(identity),
      token_type_(token_type(identity.vocab_size)),
      spool_(open_nameless(directory), &std::fclose) {}

void ShardWriter::check(const Example& example) const {
  const auto length = static_cast<std::int64_t>(example.tokens.size());
  core::require(length > 0 && example.prompt_length >= 0 && example.prompt_length <= length,
                "an example has tokens, and its prompt is a part of them");
  for (TokenId id : example.tokens) {
    if (id < 0 || id >= identity_.vocab_size)
      core::fault("token id {} of an example is not in the vocabulary of {}", id, identity_.vocab_size);
  }
  core::require(example.candidates.size() < kNoGold, "an example has at most 254 candidates");
  core::require(!example.gold || *example.gold < example.candidates.size(), "gold is an index into the candidates");
  const auto all_or_none = [this](bool has, size_t before) {
    return before == (has ? static_cast<size_t>(totals_.examples) : 0);
  };
  core::require(all_or_none(example.user.has_value(), users_.size()) &&
                    all_or_none(example.timestamp.has_value(), timestamps_.size()),
                "all examples of a split have user and timestamp, or none has");
}

void ShardWriter::spool_failed() const {
  core::user_error("cannot write in {}: {}. Free some space or choose another directory", directory_.string(),
                   std::strerror(errno));
}

void ShardWriter::spool_tokens(const Example& example) {
  std::vector<char> bytes;
  if (token_type_ == ElementType::uint16) {
    append_ids<std::uint16_t>(bytes, example.tokens);
  } else {
    append_ids<std::uint32_t>(bytes, example.tokens);
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), spool_.get()) != bytes.size()) spool_failed();
}

void ShardWriter::append(const Example& example) {
  check(example);
  spool_tokens(example);
  const auto length = static_cast<std::int64_t>(example.tokens.size());
  totals_.examples += 1;
  totals_.tokens += length;
  totals_.supervised_tokens += supervised_of(length, example.prompt_length);
  totals_.longest = std::max(totals_.longest, length);
  totals_.largest_item = std::max(totals_.largest_item, largest_item(example));
  offsets_.push_back(static_cast<std::uint64_t>(totals_.tokens));
  prompt_lengths_.push_back(static_cast<std::uint32_t>(example.prompt_length));
  if (example.user) users_.push_back(*example.user);
  if (example.timestamp) timestamps_.push_back(*example.timestamp);
  targets_.push_back(example.target.value_or(kNoItem));
  last_items_.push_back(example.last_item.value_or(kNoItem));
  history_items_.insert(history_items_.end(), example.history.begin(), example.history.end());
  history_offsets_.push_back(history_items_.size());
  gold_.push_back(example.gold.value_or(kNoGold));
  candidates_.insert(candidates_.end(), example.candidates.begin(), example.candidates.end());
  candidate_counts_.push_back(static_cast<std::uint8_t>(example.candidates.size()));
}

void ShardWriter::write_tokens(Hdf5Writer& file) {
  const auto total = static_cast<std::uint64_t>(totals_.tokens);
  file.create_array("tokens", token_type_, {total});
  if (std::fflush(spool_.get()) != 0 || std::fseek(spool_.get(), 0, SEEK_SET) != 0) spool_failed();
  const std::uint64_t at_once = kCopyBytes / size_of(token_type_);
  std::vector<char> buffer(kCopyBytes);
  for (std::uint64_t first = 0; first < total; first += at_once) {
    const std::uint64_t count = std::min(at_once, total - first);
    const size_t bytes = count * size_of(token_type_);
    if (std::fread(buffer.data(), 1, bytes, spool_.get()) != bytes) spool_failed();
    file.write_slice("tokens", token_type_, first, count, buffer.data());
  }
}

std::vector<std::uint32_t> ShardWriter::candidate_rows(std::uint64_t width) const {
  std::vector<std::uint32_t> rows(width * candidate_counts_.size(), kNoItem);
  auto from = candidates_.begin();
  for (size_t i = 0; i < candidate_counts_.size(); ++i) {
    const auto count = static_cast<std::ptrdiff_t>(candidate_counts_[i]);
    std::copy(from, from + count, rows.begin() + static_cast<std::ptrdiff_t>(i * width));
    from += count;
  }
  return rows;
}

void ShardWriter::write_columns(Hdf5Writer& file) const {
  const std::uint64_t n = prompt_lengths_.size();
  file.write_array("example_offsets", offsets_, {n + 1});
  file.write_array("prompt_lengths", prompt_lengths_, {n});
  if (!users_.empty()) file.write_array("users", users_, {n});
  if (!timestamps_.empty()) file.write_array("timestamps", timestamps_, {n});
  if (any_known(targets_, kNoItem)) file.write_array("targets", targets_, {n});
  if (any_known(last_items_, kNoItem)) file.write_array("last_items", last_items_, {n});
  if (!history_items_.empty()) {
    file.write_array("history_offsets", history_offsets_, {n + 1});
    file.write_array("history_items", history_items_, {history_items_.size()});
  }
  if (any_known(gold_, kNoGold)) file.write_array("gold", gold_, {n});
  if (candidates_.empty()) return;
  const std::uint64_t width = *std::max_element(candidate_counts_.begin(), candidate_counts_.end());
  file.write_array("candidates", candidate_rows(width), {n, width});
}

void ShardWriter::write(const fs::path& path) {
  Hdf5Writer file(path);
  file.write_attribute("format", std::string(kShardFormat));
  file.write_attribute("version", kDatasetVersion);
  file.write_attribute("tokenizer_sha256", identity_.tokenizer_sha256);
  file.write_attribute("vocab_size", identity_.vocab_size);
  write_tokens(file);
  write_columns(file);
  file.flush();
  file.write_attribute("complete", std::int64_t{1});
  file.close();
  core::sync_path(path);
}

}  // namespace allreco::data
