#include "data/store/dataset.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "core/files.h"
#include "data/input/line_reader.h"
#include "data/prepare/splits.h"
#include "data/store/shard_format.h"
#include "data/store/shard_reader.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr std::int64_t kLargestCount = std::int64_t{1} << 48;       // of bytes, tokens, examples: sums do not overflow
constexpr std::int64_t kLargestVocabulary = std::int64_t{1} << 31;  // a token id is an int32
constexpr std::int64_t kLongestExample = std::int64_t{1} << 31;     // times a batch it is a count of tokens

/// A key of dataset.json or of a line of items.jsonl: a number that its type can hold, a text, or JSON.
template <class T>
T value_at(const Json& json, const char* key, const fs::path& where) {
  try {
    if constexpr (std::is_integral_v<T>) {
      if (const auto number = core::whole_number<T>(json.at(key))) return *number;
      core::user_error("{} has no usable \"{}\" ({}). Prepare the dataset again", where.string(), key,
                       json.at(key).dump());
    }
    return json.at(key).get<T>();
  } catch (const Json::exception& error) {
    core::user_error("{} has no usable \"{}\" ({}). Prepare the dataset again", where.string(), key, error.what());
  }
}

/// A count or size: 0 to `largest`.
std::int64_t count(const Json& json, const char* key, const fs::path& where, std::int64_t largest = kLargestCount) {
  const auto number = value_at<std::int64_t>(json, key, where);
  if (number >= 0 && number <= largest) return number;
  core::user_error("{}: \"{}\" is {}, outside [0, {}]. Prepare the dataset again", where.string(), key, number,
                   largest);
}

/// The name of a file beside dataset.json.
std::string file_name(const Json& json, const fs::path& where) {
  const auto name = value_at<std::string>(json, "file", where);
  core::require_plain_name(name, where.string());
  return name;
}

void check_format(const Json& json, const fs::path& file) {
  if (!json.is_object() || json.value("format", Json()) != kDatasetFormat)
    core::user_error(
        "{} is not the description of a dataset (\"format\" is not \"{}\"); give a directory that `allreco prepare` "
        "made",
        file.string(), kDatasetFormat);
  const auto version = value_at<std::int64_t>(json, "format_version", file);
  if (version != kDatasetVersion)
    core::user_error(
        "{} has format version {}; this program reads version {}. Prepare the dataset again with this program, or use "
        "a newer one",
        file.string(), version, kDatasetVersion);
}

std::vector<ShardEntry> shard_entries(const DatasetInfo& info, const std::string& split) {
  const fs::path file = info.directory / kDatasetFile;
  const Json all = value_at<Json>(info.json, "splits", file);
  if (!all.contains(split)) {
    std::string present;
    for (const auto& [name, ignored] : all.items()) present += (present.empty() ? "" : ", ") + name;
    core::user_error("{} has no split \"{}\"; it has: {}", info.directory.string(), split,
                     present.empty() ? "none" : present);
  }
  std::vector<ShardEntry> entries;
  for (const Json& shard : value_at<Json>(all[split], "shards", file)) {
    entries.push_back({file_name(shard, file), count(shard, "examples", file), count(shard, "tokens", file),
                       count(shard, "bytes", file), value_at<std::string>(shard, "sha256", file)});
  }
  return entries;
}

std::string fingerprint_of(const DatasetInfo& info) {
  std::string text;
  const fs::path file = info.directory / kDatasetFile;
  const Json splits = value_at<Json>(info.json, "splits", file);
  for (const auto& [split, ignored] : splits.items()) {
    if (!split_of_name(split))
      core::user_error("{} has a split \"{}\"; there are train, validation and test", file.string(), split);
    for (const ShardEntry& entry : shard_entries(info, split)) text += split + " " + entry.sha256 + "\n";
  }
  return core::sha256_of_bytes(text);
}

/// The model looks up what they stand for, so they must lie in the vocabulary.
std::vector<TokenId> token_ids(const Json& line, const fs::path& file, std::int64_t vocab_size) {
  std::vector<TokenId> ids;
  for (const Json& value : value_at<Json>(line, "tokens", file)) {
    const auto id = core::whole_number<TokenId>(value);
    if (!id || *id < 0 || *id >= vocab_size)
      core::user_error("{}: \"tokens\" holds {}, which is no token id of a vocabulary of {}", file.string(),
                       value.dump(), vocab_size);
    ids.push_back(*id);
  }
  return ids;
}

std::string text_if_any(const Json& json, const char* key, const fs::path& file) {
  return json.contains(key) ? value_at<std::string>(json, key, file) : "";
}

Item item_of(const std::string& line, const fs::path& file, std::int64_t vocab_size) {
  const Json json = core::parse_json(line, file.string());
  return {value_at<std::uint32_t>(json, "id", file),  value_at<std::string>(json, "asin", file),
          value_at<std::string>(json, "title", file), value_at<std::int64_t>(json, "train_count", file),
          token_ids(json, file, vocab_size),          text_if_any(json, "category", file),
          text_if_any(json, "brand", file),           text_if_any(json, "price", file)};
}

}  // namespace

DatasetInfo read_dataset_info(const fs::path& directory) {
  const fs::path file = directory / kDatasetFile;
  std::error_code error;
  if (!fs::exists(file, error))
    core::user_error("{} is not a dataset: it has no {}. Make one with `allreco prepare --output_dir {}`",
                     directory.string(), kDatasetFile, directory.string());
  DatasetInfo info;
  info.directory = directory;
  info.json = core::read_json_file(file);
  check_format(info.json, file);
  info.tokenizer_sha256 = value_at<std::string>(info.json, "tokenizer_sha256", file);
  info.vocab_size = count(info.json, "vocab_size", file, kLargestVocabulary);
  info.bos_id = value_at<TokenId>(info.json, "bos_id", file);
  info.eos_id = value_at<TokenId>(info.json, "eos_id", file);
  info.max_length = count(info.json, "max_length", file, kLongestExample);
  info.num_items = count(value_at<Json>(info.json, "catalogue", file), "items", file, kNoItem);
  info.fingerprint = fingerprint_of(info);
  return info;
}

void require_vocabulary_fits(const DatasetInfo& info, std::int64_t vocab_size_of_model, const std::string& model) {
  if (info.vocab_size <= vocab_size_of_model) return;
  core::user_error(
      "the dataset {} has a vocabulary of {} tokens, the model{} one of {}: prepare the dataset with the model's own "
      "tokenizer",
      info.directory.string(), info.vocab_size, model.empty() ? "" : " " + model, vocab_size_of_model);
}

bool has_split(const DatasetInfo& info, const std::string& split) {
  const fs::path file = info.directory / kDatasetFile;
  const Json all = value_at<Json>(info.json, "splits", file);
  return all.contains(split) && count(all[split], "examples", file) > 0;
}

namespace {

/// A file of lines that dataset.json lists in `entry`, whose bytes are still those.
fs::path listed_file(const DatasetInfo& info, const Json& entry, const char* what) {
  const fs::path file = info.directory / file_name(entry, info.directory / kDatasetFile);
  if (core::sha256_of_file(file) != value_at<std::string>(entry, "sha256", info.directory / kDatasetFile))
    core::user_error(
        "{} is not the {} that {} lists: its bytes have changed. Prepare the dataset again or copy it again",
        file.string(), what, kDatasetFile);
  return file;
}

std::vector<std::uint32_t> sequence_of(const std::string& line, std::int64_t num_items, const std::string& where) {
  const Json json = core::parse_json(line, where);
  if (!json.is_array() || json.empty()) core::user_error("{}: expected an array of item ids", where);
  std::vector<std::uint32_t> items;
  for (const Json& item : json) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() >= static_cast<std::uint64_t>(num_items))
      core::user_error("{}: expected ids of the {} items of the catalogue", where, num_items);
    items.push_back(item.get<std::uint32_t>());
  }
  return items;
}

}  // namespace

std::vector<Item> read_catalogue(const DatasetInfo& info) {
  std::vector<Item> items;
  if (info.num_items == 0) return items;
  const fs::path file =
      listed_file(info, value_at<Json>(info.json, "catalogue", info.directory / kDatasetFile), "catalogue");
  LineReader lines(file);
  for (std::string line; lines.next(line);) {
    items.push_back(item_of(line, file, info.vocab_size));
    if (items.back().id != items.size() - 1)
      core::user_error("{} line {} has id {}; ids count the lines from 0", file.string(), items.size(),
                       items.back().id);
  }
  if (std::cmp_not_equal(items.size(), info.num_items))
    core::user_error("{} holds {} items where {} lists {}", file.string(), items.size(), kDatasetFile, info.num_items);
  return items;
}

std::optional<std::vector<std::vector<std::uint32_t>>> read_listed_train_sequences(const DatasetInfo& info) {
  const fs::path document = info.directory / kDatasetFile;
  if (!info.json.contains("train_sequences")) return std::nullopt;
  const Json entry = value_at<Json>(info.json, "train_sequences", document);
  const fs::path file = listed_file(info, entry, "list of train sequences");
  std::vector<std::vector<std::uint32_t>> sequences;
  LineReader lines(file);
  for (std::string line; lines.next(line);)
    sequences.push_back(
        sequence_of(line, info.num_items, fmt::format("{} line {}", file.string(), lines.line_number())));
  if (std::cmp_not_equal(sequences.size(), value_at<std::int64_t>(entry, "sequences", document)))
    core::user_error("{} holds {} sequences where {} lists another number", file.string(), sequences.size(),
                     kDatasetFile);
  return sequences;
}

struct Dataset::State {
  DatasetInfo info;
  std::vector<ShardReader> shards;
  std::vector<std::int64_t> first_of_shard{0};  // [shards + 1], in examples

  struct Place {
    const ShardReader& shard;
    std::int64_t index;
  };

  Place place_of(std::int64_t i) const {
    core::require(i >= 0 && i < first_of_shard.back(), "an example's index lies in the split");
    const auto after = std::upper_bound(first_of_shard.begin(), first_of_shard.end(), i);
    const auto shard = static_cast<size_t>(after - first_of_shard.begin()) - 1;
    return {shards[shard], i - first_of_shard[shard]};
  }
};

Dataset::Dataset(const fs::path& directory, const std::string& split, bool verify_checksums)
    : state_(std::make_unique<State>()) {
  state_->info = read_dataset_info(directory);
  for (const ShardEntry& entry : shard_entries(state_->info, split)) {
    state_->shards.emplace_back(state_->info, entry, verify_checksums);
    state_->first_of_shard.push_back(state_->first_of_shard.back() + state_->shards.back().size());
  }
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

const DatasetInfo& Dataset::info() const { return state_->info; }
std::int64_t Dataset::size() const { return state_->first_of_shard.back(); }

std::int64_t Dataset::length(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return shard.length(index);
}

std::int64_t Dataset::prompt_length(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return shard.prompt_length(index);
}

std::int64_t Dataset::num_supervised(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return supervised_of(shard.length(index), shard.prompt_length(index));
}

bool Dataset::has_histories() const {
  return std::any_of(state_->shards.begin(), state_->shards.end(),
                     [](const ShardReader& shard) { return shard.has_histories(); });
}

bool Dataset::has_candidates() const {
  return std::any_of(state_->shards.begin(), state_->shards.end(),
                     [](const ShardReader& shard) { return shard.has_candidates(); });
}

Example Dataset::example(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return shard.example(index);
}

std::vector<TokenId> Dataset::tokens(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return shard.first_tokens(index, shard.length(index));
}

std::vector<TokenId> Dataset::prompt(std::int64_t i) const {
  const auto [shard, index] = state_->place_of(i);
  return shard.first_tokens(index, shard.prompt_length(index));
}

}  // namespace allreco::data
