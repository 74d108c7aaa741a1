#include "data/store/shard_reader.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"
#include "core/files.h"
#include "data/store/shard_format.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian and are read as they lie");

constexpr const char* kRemedy = "Prepare the dataset again or copy it again";

/// Before HDF5 sees the file: is it there, whole, and the one that dataset.json means?
void check_bytes(const core::InputFile& file, const ShardEntry& entry, bool verify_checksum) {
  if (std::cmp_not_equal(file.size(), entry.bytes))
    core::user_error("shard {} has {} bytes where {} lists {}: it was cut short or replaced. {}", file.path().string(),
                     file.size(), kDatasetFile, entry.bytes, kRemedy);
  if (!verify_checksum) return;
  const std::string found = core::sha256_of_file(file.path());
  if (found != entry.sha256)
    core::user_error("shard {} has sha256 {} where {} lists {}: its bytes have changed. {}", file.path().string(),
                     found, kDatasetFile, entry.sha256, kRemedy);
}

fs::path existing_shard(const DatasetInfo& info, const ShardEntry& entry) {
  const fs::path path = info.directory / entry.file;
  std::error_code error;
  if (!fs::exists(path, error))
    core::user_error("shard {} is missing although {} lists it. {}", path.string(), kDatasetFile, kRemedy);
  return path;
}

}  // namespace

ShardReader::ShardReader(const DatasetInfo& info, const ShardEntry& entry, bool verify_checksum)
    : file_(existing_shard(info, entry)),
      vocab_size_(info.vocab_size),
      num_items_(info.num_items),
      token_type_(token_type(info.vocab_size)) {
  check_bytes(file_, entry, verify_checksum);
  const Hdf5Reader file(file_.path());
  check_identity(file, info);
  read_offsets(file, entry);
  users_ = find_column(file, "users", ElementType::uint64, 1);
  timestamps_ = find_column(file, "timestamps", ElementType::int64, 1);
  targets_ = find_column(file, "targets", ElementType::uint32, 1);
  last_items_ = find_column(file, "last_items", ElementType::uint32, 1);
  gold_ = find_column(file, "gold", ElementType::uint8, 1);
  candidates_ = find_column(file, "candidates", ElementType::uint32, 2);
  read_history_offsets(file);
}

void ShardReader::check_identity(const Hdf5Reader& file, const DatasetInfo& info) const {
  const std::string path = file_.path().string();
  if (!file.has_attribute("format") || file.string_attribute("format") != kShardFormat)
    core::user_error("{} is not an {} file. {}", path, kShardFormat, kRemedy);
  const std::int64_t version = file.int_attribute("version");
  if (version != kDatasetVersion)
    core::user_error("shard {} has format version {}; this program reads version {}. Prepare the dataset again", path,
                     version, kDatasetVersion);
  if (!file.has_attribute("complete") || file.int_attribute("complete") != 1)
    core::user_error("shard {} is not complete: whoever wrote it did not finish. {}", path, kRemedy);
  const std::string tokenizer = file.string_attribute("tokenizer_sha256");
  if (tokenizer != info.tokenizer_sha256)
    core::user_error("shard {} was made with tokenizer {} but {} says {}: files of two datasets are mixed. {}", path,
                     tokenizer, kDatasetFile, info.tokenizer_sha256, kRemedy);
  const std::int64_t vocab_size = file.int_attribute("vocab_size");
  if (vocab_size != info.vocab_size)
    core::user_error("shard {} has vocabulary size {} but {} says {}. {}", path, vocab_size, kDatasetFile,
                     info.vocab_size, kRemedy);
}

void ShardReader::read_offsets(const Hdf5Reader& file, const ShardEntry& entry) {
  const std::string path = file_.path().string();
  const ArrayPlace tokens = file.place_of("tokens");
  const ArrayPlace offsets = file.place_of("example_offsets");
  const ArrayPlace prompts = file.place_of("prompt_lengths");
  if (tokens.type != token_type_ || offsets.type != ElementType::uint64 || prompts.type != ElementType::uint32)
    core::user_error("shard {} has tokens as {}, offsets as {}, prompt lengths as {}; expected {}, uint64, uint32. {}",
                     path, name_of(tokens.type), name_of(offsets.type), name_of(prompts.type), name_of(token_type_),
                     kRemedy);
  const auto examples = static_cast<std::uint64_t>(entry.examples);
  const std::vector<std::uint64_t> expected_tokens{static_cast<std::uint64_t>(entry.tokens)};
  if (tokens.shape != expected_tokens || offsets.shape != std::vector{examples + 1} ||
      prompts.shape != std::vector{examples})
    core::user_error("shard {} does not hold the {} examples and {} tokens that {} lists. {}", path, entry.examples,
                     entry.tokens, kDatasetFile, kRemedy);

  first_token_byte_ = tokens.first_byte;
  offsets_.resize(examples + 1);
  prompt_lengths_.resize(examples);
  file_.read(offsets.first_byte, offsets_.size() * sizeof(offsets_[0]), offsets_.data());
  file_.read(prompts.first_byte, prompt_lengths_.size() * sizeof(prompt_lengths_[0]), prompt_lengths_.data());
  if (offsets_.front() != 0 || offsets_.back() != expected_tokens[0])
    core::user_error("/example_offsets of {} run from {} to {}; expected 0 to {}. {}", path, offsets_.front(),
                     offsets_.back(), expected_tokens[0], kRemedy);
  for (size_t i = 0; i < examples; ++i) {
    if (offsets_[i] >= offsets_[i + 1])
      core::user_error("/example_offsets of {} do not rise at example {} ({}, then {}). {}", path, i, offsets_[i],
                       offsets_[i + 1], kRemedy);
    if (prompt_lengths_[i] > offsets_[i + 1] - offsets_[i])
      core::user_error(
          "/prompt_lengths of {}: the prompt of example {} is longer than the example ({} of {} tokens). {}", path, i,
          prompt_lengths_[i], offsets_[i + 1] - offsets_[i], kRemedy);
  }
}

void ShardReader::read_history_offsets(const Hdf5Reader& file) {
  if (!file.has_array("history_offsets") && !file.has_array("history_items")) return;
  const std::string path = file_.path().string();
  const ArrayPlace offsets = file.place_of("history_offsets");
  const ArrayPlace items = file.place_of("history_items");
  const std::uint64_t examples = prompt_lengths_.size();
  if (offsets.type != ElementType::uint64 || items.type != ElementType::uint32 ||
      offsets.shape != std::vector{examples + 1} || items.shape.size() != 1)
    core::user_error(
        "/history_offsets and /history_items of {} are not uint64 with one row an example and one more, and uint32. {}",
        path, kRemedy);
  history_offsets_.resize(examples + 1);
  file_.read(offsets.first_byte, history_offsets_.size() * sizeof(history_offsets_[0]), history_offsets_.data());
  if (history_offsets_.front() != 0 || history_offsets_.back() != items.shape[0] ||
      !std::is_sorted(history_offsets_.begin(), history_offsets_.end()))
    core::user_error("/history_offsets of {} do not rise from 0 to the {} items of /history_items. {}", path,
                     items.shape[0], kRemedy);
  first_history_byte_ = items.first_byte;
}

ShardReader::Column ShardReader::find_column(const Hdf5Reader& file, const std::string& name, ElementType type,
                                             std::uint64_t dimensions) const {
  if (!file.has_array(name)) return {};
  const ArrayPlace place = file.place_of(name);
  if (place.type != type || place.shape.size() != dimensions || place.shape[0] != prompt_lengths_.size())
    core::user_error("/{} of {} is not {} with {} dimensions and one row an example. {}", name, file_.path().string(),
                     name_of(type), dimensions, kRemedy);
  return {true, place.first_byte, dimensions == 2 ? place.shape[1] : 1};
}

std::int64_t ShardReader::length(std::int64_t i) const {
  const auto at = static_cast<size_t>(i);
  return static_cast<std::int64_t>(offsets_[at + 1] - offsets_[at]);
}

std::int64_t ShardReader::prompt_length(std::int64_t i) const { return prompt_lengths_[static_cast<size_t>(i)]; }

template <class T>
std::vector<T> ShardReader::row(const Column& column, std::int64_t i) const {
  std::vector<T> values(column.width);
  const std::uint64_t bytes = column.width * sizeof(T);
  file_.read(column.first_byte + static_cast<std::uint64_t>(i) * bytes, bytes, values.data());
  return values;
}

template <class T>
std::vector<TokenId> ShardReader::read_ids(std::int64_t i, std::int64_t count) const {
  std::vector<T> stored(static_cast<size_t>(count));
  file_.read(first_token_byte_ + offsets_[static_cast<size_t>(i)] * sizeof(T), stored.size() * sizeof(T),
             stored.data());
  std::vector<TokenId> ids(stored.size());
  for (size_t t = 0; t < stored.size(); ++t) {
    if (std::cmp_greater_equal(stored[t], vocab_size_))
      core::user_error("shard {}: token {} of example {} is id {}, outside the vocabulary of {}. {}",
                       file_.path().string(), t, i, stored[t], vocab_size_, kRemedy);
    ids[t] = static_cast<TokenId>(stored[t]);
  }
  return ids;
}

std::vector<TokenId> ShardReader::first_tokens(std::int64_t i, std::int64_t count) const {
  return token_type_ == ElementType::uint16 ? read_ids<std::uint16_t>(i, count) : read_ids<std::uint32_t>(i, count);
}

std::vector<std::uint32_t> ShardReader::history(std::int64_t i) const {
  if (!has_histories()) return {};
  const auto at = static_cast<size_t>(i);
  std::vector<std::uint32_t> items(history_offsets_[at + 1] - history_offsets_[at]);
  if (items.empty()) return items;
  file_.read(first_history_byte_ + history_offsets_[at] * sizeof(items[0]), items.size() * sizeof(items[0]),
             items.data());
  return items;
}

void ShardReader::check_items(const Example& example, std::int64_t i) const {
  const auto check = [&](std::uint32_t item) {
    if (std::cmp_greater_equal(item, num_items_))
      core::user_error("shard {}: example {} names item {}, but the catalogue has {} items. {}", file_.path().string(),
                       i, item, num_items_, kRemedy);
  };
  if (example.target) check(*example.target);
  if (example.last_item) check(*example.last_item);
  for (std::uint32_t item : example.history) check(item);
  for (std::uint32_t candidate : example.candidates) check(candidate);
  if (example.gold && *example.gold >= example.candidates.size())
    core::user_error("shard {}: gold of example {} is {}, but it has {} candidates. {}", file_.path().string(), i,
                     *example.gold, example.candidates.size(), kRemedy);
}

Example ShardReader::example(std::int64_t i) const {
  Example example;
  example.tokens = first_tokens(i, length(i));
  example.prompt_length = prompt_length(i);
  const auto item_of = [&](const Column& column) -> std::optional<std::uint32_t> {
    if (!column.present) return std::nullopt;
    const std::uint32_t item = row<std::uint32_t>(column, i)[0];
    return item == kNoItem ? std::nullopt : std::optional(item);
  };
  if (users_.present) example.user = row<std::uint64_t>(users_, i)[0];
  if (timestamps_.present) example.timestamp = row<std::int64_t>(timestamps_, i)[0];
  example.target = item_of(targets_);
  example.last_item = item_of(last_items_);
  example.history = history(i);
  if (candidates_.present) {
    example.candidates = row<std::uint32_t>(candidates_, i);
    std::erase(example.candidates, kNoItem);
  }
  if (gold_.present && row<std::uint8_t>(gold_, i)[0] != kNoGold) example.gold = row<std::uint8_t>(gold_, i)[0];
  check_items(example, i);
  return example;
}

}  // namespace allreco::data
