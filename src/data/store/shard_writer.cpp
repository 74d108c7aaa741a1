#include "data/store/shard_writer.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/files.h"
#include "data/store/shard_format.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kCopyBytes = 1 << 20;  // from the waiting tokens to HDF5 at a time

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

}  // namespace

ShardWriter::ShardWriter(const fs::path& directory, const ShardIdentity& identity)
    : identity_(identity),
      token_type_(token_type(identity.vocab_size)),
      tokens_(directory, 0),
      offsets_(directory),
      prompt_lengths_(directory),
      users_(directory),
      timestamps_(directory),
      targets_(directory, kNoItem),
      last_items_(directory, kNoItem),
      history_offsets_(directory),
      history_items_(directory),
      gold_(directory, kNoGold),
      candidates_(directory),
      candidate_counts_(directory) {
  offsets_.push(0);
  history_offsets_.push(0);
}

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
  const auto all_or_none = [this](bool has, std::uint64_t before) {
    return before == (has ? static_cast<std::uint64_t>(totals_.examples) : 0);
  };
  core::require(all_or_none(example.user.has_value(), users_.size()) &&
                    all_or_none(example.timestamp.has_value(), timestamps_.size()),
                "all examples of a split have user and timestamp, or none has");
}

void ShardWriter::push_tokens(const Example& example) {
  std::vector<char> bytes;
  if (token_type_ == ElementType::uint16) {
    append_ids<std::uint16_t>(bytes, example.tokens);
  } else {
    append_ids<std::uint32_t>(bytes, example.tokens);
  }
  tokens_.append({bytes.data(), bytes.size()});
}

void ShardWriter::append(const Example& example) {
  check(example);
  push_tokens(example);
  const auto length = static_cast<std::int64_t>(example.tokens.size());
  totals_.examples += 1;
  totals_.tokens += length;
  totals_.supervised_tokens += supervised_of(length, example.prompt_length);
  totals_.longest = std::max(totals_.longest, length);
  totals_.largest_item = std::max(totals_.largest_item, largest_item(example));
  offsets_.push(static_cast<std::uint64_t>(totals_.tokens));
  prompt_lengths_.push(static_cast<std::uint32_t>(example.prompt_length));
  if (example.user) users_.push(*example.user);
  if (example.timestamp) timestamps_.push(*example.timestamp);
  targets_.push(example.target.value_or(kNoItem));
  last_items_.push(example.last_item.value_or(kNoItem));
  for (const std::uint32_t item : example.history) history_items_.push(item);
  history_offsets_.push(history_items_.size());
  gold_.push(example.gold.value_or(kNoGold));
  for (const std::uint32_t item : example.candidates) candidates_.push(item);
  candidate_counts_.push(static_cast<std::uint8_t>(example.candidates.size()));
  most_candidates_ = std::max<std::uint64_t>(most_candidates_, example.candidates.size());
}

void ShardWriter::write_tokens(Hdf5Writer& file) const {
  const auto total = static_cast<std::uint64_t>(totals_.tokens);
  file.create_array("tokens", token_type_, {total});
  const std::uint64_t at_once = kCopyBytes / size_of(token_type_);
  std::vector<char> buffer(kCopyBytes);
  core::SpoolReader reader(tokens_);
  for (std::uint64_t first = 0; first < total; first += at_once) {
    const std::uint64_t count = std::min(at_once, total - first);
    reader.read_into(buffer.data(), count * size_of(token_type_));
    file.write_slice("tokens", token_type_, first, count, buffer.data());
  }
}

template <class T>
void ShardWriter::write_column(Hdf5Writer& file, const char* name, const Column<T>& column) const {
  file.create_array(name, element_type_of<T>(), {column.size()});
  constexpr std::uint64_t at_once = core::Spool::kChunkBytes / sizeof(T);
  std::vector<T> values(std::min(at_once, column.size()));
  core::SpoolReader reader(column.spool);
  for (std::uint64_t first = 0; first < column.size(); first += at_once) {
    const std::uint64_t count = std::min(at_once, column.size() - first);
    reader.read_into(reinterpret_cast<char*>(values.data()), count * sizeof(T));
    file.write_slice(name, element_type_of<T>(), first, count, values.data());
  }
}

void ShardWriter::write_candidates(Hdf5Writer& file) const {
  const std::uint64_t num_examples = candidate_counts_.size(), width = most_candidates_;
  file.create_array("candidates", ElementType::uint32, {num_examples, width});
  const std::uint64_t at_once = std::max<std::uint64_t>(1, core::Spool::kChunkBytes / (width * sizeof(std::uint32_t)));
  core::SpoolReader counts(candidate_counts_.spool), values(candidates_.spool);
  std::vector<std::uint32_t> rows;
  for (std::uint64_t first = 0; first < num_examples; first += at_once) {
    const std::uint64_t num_rows = std::min(at_once, num_examples - first);
    rows.assign(num_rows * width, kNoItem);
    for (std::uint64_t row = 0; row < num_rows; ++row)
      values.read_into(reinterpret_cast<char*>(&rows[row * width]),
                       counts.read_value<std::uint8_t>() * sizeof(std::uint32_t));
    file.write_rows("candidates", ElementType::uint32, first, num_rows, width, rows.data());
  }
}

void ShardWriter::write_columns(Hdf5Writer& file) const {
  write_column(file, "example_offsets", offsets_);
  write_column(file, "prompt_lengths", prompt_lengths_);
  if (users_.size() > 0) write_column(file, "users", users_);
  if (timestamps_.size() > 0) write_column(file, "timestamps", timestamps_);
  if (targets_.any_known) write_column(file, "targets", targets_);
  if (last_items_.any_known) write_column(file, "last_items", last_items_);
  if (history_items_.size() > 0) {
    write_column(file, "history_offsets", history_offsets_);
    write_column(file, "history_items", history_items_);
  }
  if (gold_.any_known) write_column(file, "gold", gold_);
  if (candidates_.size() > 0) write_candidates(file);
}

FinishedShard ShardWriter::write(const fs::path& path) {
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
  return {totals_, core::sha256_of_file(path), static_cast<std::int64_t>(fs::file_size(path))};
}

}  // namespace allreco::data
