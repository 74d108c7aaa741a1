#include "data/store/dataset_writer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/files.h"
#include "core/input_file.h"
#include "core/interrupt.h"
#include "core/staging_directory.h"
#include "data/store/lines_writer.h"
#include "data/store/shard_format.h"
#include "data/store/shard_writer.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

/// One split: the shard that is being filled and what is known of those before it.
struct OpenSplit {
  std::optional<ShardWriter> open;
  std::vector<FinishedShard> finished;
  std::optional<std::pair<bool, bool>> fields;  // whether its examples have user, timestamp
};

/// A file of lines that grows in the staging directory.
struct OpenLines {
  const char* name;
  std::optional<LinesWriter> writer = {};
  std::int64_t count = 0;

  void append(const fs::path& staging, std::string_view lines) {
    if (!writer) writer.emplace(staging / name);
    writer->append(lines);
  }
  /// Moves a file of lines behind those that are there.
  void adopt(const fs::path& staging, const fs::path& lines, std::int64_t num_lines) {
    {
      const core::InputFile file(lines);
      std::string block;
      for (std::uint64_t place = 0; place < file.size(); place += block.size()) {
        block.resize(std::min<std::uint64_t>(std::uint64_t{1} << 20, file.size() - place));
        file.read(place, block.size(), block.data());
        append(staging, block);
      }
    }
    count += num_lines;
    fs::remove(lines);
  }
  /// Its entry in dataset.json, `what` being the key of its count.
  Json finish(const fs::path& staging, const char* what) {
    if (count == 0) return {{what, 0}};
    writer->close();
    core::sync_path(staging / name);
    return {{what, count}, {"file", name}, {"sha256", core::sha256_of_file(staging / name)}};
  }
};

std::string shard_name(const std::string& split, size_t index, size_t count) {
  return fmt::format("{}-{:05}-of-{:05}.h5", split, index, count);
}

Json shard_json(const std::string& name, const FinishedShard& shard) {
  return {{"file", name},
          {"examples", shard.totals.examples},
          {"tokens", shard.totals.tokens},
          {"supervised_tokens", shard.totals.supervised_tokens},
          {"bytes", shard.bytes},
          {"sha256", shard.sha256}};
}

}  // namespace

struct DatasetWriter::State {
  explicit State(DatasetWriterOptions given) : options(std::move(given)), staging(options.directory) {}

  DatasetWriterOptions options;
  core::StagingDirectory staging;
  std::map<std::string, OpenSplit> splits;
  std::int64_t max_length = 0;
  std::int64_t largest_item = -1;
  OpenLines catalogue{kCatalogueFile}, train_sequences{kTrainSequencesFile};

  void close_shard(const std::string& name, OpenSplit& split);
  void add_shard(OpenSplit& split, const FinishedShard& shard);
  Json split_json(const std::string& name, const OpenSplit& split);
  Json splits_json();
  Json finish_catalogue(const std::vector<Item>& items);
  void copy_tokenizer() const;
};

void DatasetWriter::State::close_shard(const std::string& name, OpenSplit& split) {
  add_shard(split, split.open->write(staging.path() / unfinished_name(name, split.finished.size())));
  split.open.reset();
}

void DatasetWriter::State::add_shard(OpenSplit& split, const FinishedShard& shard) {
  split.finished.push_back(shard);
  max_length = std::max(max_length, shard.totals.longest);
  largest_item = std::max(largest_item, shard.totals.largest_item);
}

Json DatasetWriter::State::split_json(const std::string& name, const OpenSplit& split) {
  Json shards = Json::array();
  ShardTotals sum;
  for (size_t i = 0; i < split.finished.size(); ++i) {
    const std::string file = shard_name(name, i, split.finished.size());
    fs::rename(staging.path() / unfinished_name(name, i), staging.path() / file);
    const FinishedShard& shard = split.finished[i];
    shards.push_back(shard_json(file, shard));
    sum.examples += shard.totals.examples;
    sum.tokens += shard.totals.tokens;
    sum.supervised_tokens += shard.totals.supervised_tokens;
  }
  return {{"examples", sum.examples},
          {"tokens", sum.tokens},
          {"supervised_tokens", sum.supervised_tokens},
          {"shards", std::move(shards)}};
}

Json DatasetWriter::State::splits_json() {
  Json all = Json::object();
  for (auto& [name, split] : splits) {
    if (split.open) close_shard(name, split);
    all[name] = split_json(name, split);
  }
  return all;
}

Json DatasetWriter::State::finish_catalogue(const std::vector<Item>& items) {
  core::require(items.empty() || catalogue.count == 0, "items are given or adopted");
  for (const Item& item : items) {
    core::require(std::cmp_equal(item.id, catalogue.count), "an item's id is its place in the catalogue");
    catalogue.append(staging.path(), item_line(item));
    ++catalogue.count;
  }
  return catalogue.finish(staging.path(), "items");
}

void DatasetWriter::State::copy_tokenizer() const {
  if (options.tokenizer.empty()) return;
  const fs::path file = find_tokenizer_file(options.tokenizer);
  const std::string bytes = core::read_file(file);
  core::require(core::sha256_of_bytes(bytes) == options.tokenizer_sha256, "tokenizer_sha256 is that of the tokenizer");
  core::write_file_atomically(staging.path() / (is_tokenizer_json(file) ? kTokenizerJsonFile : kTokenizerFile), bytes);
}

DatasetWriter::DatasetWriter(DatasetWriterOptions options) {
  core::require(options.vocab_size > 0 && options.vocab_size <= std::int64_t{1} << 31, "a vocabulary fits 31 bits");
  core::require(options.examples_per_shard > 0, "a shard holds at least one example");
  state_ = std::make_unique<State>(std::move(options));
}

DatasetWriter::~DatasetWriter() = default;

void DatasetWriter::append(const std::string& name, const Example& example) {
  core::throw_if_interrupted();
  core::require(!name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos,
                "a split's name consists of lower-case letters");
  OpenSplit& split = state_->splits[name];
  const std::pair<bool, bool> fields{example.user.has_value(), example.timestamp.has_value()};
  if (!split.fields) split.fields = fields;
  core::require(*split.fields == fields, "all examples of a split have user and timestamp, or none has");
  if (!split.open)
    split.open.emplace(state_->staging.path(),
                       ShardIdentity{state_->options.tokenizer_sha256, state_->options.vocab_size});
  split.open->append(example);
  if (split.open->totals().examples == state_->options.examples_per_shard) state_->close_shard(name, split);
}

const fs::path& DatasetWriter::staging() const { return state_->staging.path(); }

std::string DatasetWriter::unfinished_name(const std::string& split, std::size_t index) {
  return fmt::format("{}-{:05}.part", split, index);
}

void DatasetWriter::adopt(const std::string& name, std::size_t index, const FinishedShard& shard) {
  OpenSplit& split = state_->splits[name];
  core::require(!split.open && index == split.finished.size(), "shards are adopted in order");
  state_->add_shard(split, shard);
}

void DatasetWriter::adopt_items(const fs::path& lines, std::int64_t num_items) {
  state_->catalogue.adopt(state_->staging.path(), lines, num_items);
}

void DatasetWriter::adopt_train_sequences(const fs::path& lines, std::int64_t num_sequences) {
  state_->train_sequences.adopt(state_->staging.path(), lines, num_sequences);
}

void DatasetWriter::finish(const std::vector<Item>& items, const Json& description) {
  const DatasetWriterOptions& options = state_->options;
  Json document = {{"format", kDatasetFormat},
                   {"format_version", kDatasetVersion},
                   {"program_version", ALLRECO_VERSION},
                   {"vocab_size", options.vocab_size},
                   {"tokenizer_sha256", options.tokenizer_sha256},
                   {"bos_id", options.bos_id},
                   {"eos_id", options.eos_id}};
  document["splits"] = state_->splits_json();
  document["max_length"] = state_->max_length;
  document["catalogue"] = state_->finish_catalogue(items);
  if (state_->train_sequences.count > 0)
    document["train_sequences"] = state_->train_sequences.finish(state_->staging.path(), "sequences");
  core::require(state_->largest_item < state_->catalogue.count, "examples name items of the catalogue only");
  for (const auto& [key, value] : description.items()) {
    if (document.contains(key)) core::fault("the description of a dataset may not set \"{}\"", key);
    document[key] = value;
  }
  state_->copy_tokenizer();
  core::write_json_file(state_->staging.path() / kDatasetFile, document);
  state_->staging.publish();
}

}  // namespace allreco::data
