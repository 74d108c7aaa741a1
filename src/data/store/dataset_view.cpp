#include "data/store/dataset_view.h"

#include <algorithm>
#include <optional>

#include "core/check.h"
#include "data/prepare/splits.h"
#include "data/store/shard_format.h"

namespace allreco::data {
using core::Json;

namespace {

template <class Visit>
void for_each_split(const DatasetInfo& info, bool verify, const Visit& visit) {
  for (const Split split : kSplits) {
    const std::string name(name_of(split));
    if (info.json.at("splits").contains(name)) visit(name, Dataset(info.directory, name, verify));
  }
}

void check_example(const Example& example, const DatasetInfo& info, const std::string& where) {
  const auto is_token = [&](TokenId id) { return id >= 0 && id < info.vocab_size; };
  if (!std::all_of(example.tokens.begin(), example.tokens.end(), is_token))
    core::user_error("{} holds a token id outside the vocabulary of {}. Prepare the dataset again", where,
                     info.vocab_size);
  const auto is_item = [&](std::uint32_t item) { return item < info.num_items; };
  if (!std::all_of(example.candidates.begin(), example.candidates.end(), is_item) ||
      !std::all_of(example.history.begin(), example.history.end(), is_item) ||
      (example.target && !is_item(*example.target)))
    core::user_error("{} names an item that the catalogue of {} does not have. Prepare the dataset again", where,
                     info.num_items);
  if (example.gold && *example.gold >= example.candidates.size())
    core::user_error("{}: gold is {} of {} candidates. Prepare the dataset again", where, *example.gold,
                     example.candidates.size());
}

void check_tokenizer(const DatasetInfo& info) {
  if (info.tokenizer_sha256.empty()) return;
  const Tokenizer tokenizer(info.directory);
  if (tokenizer.sha256() != info.tokenizer_sha256)
    core::user_error("{} is not the tokenizer that {} lists: its bytes have changed. Copy the dataset again",
                     tokenizer.path().string(), kDatasetFile);
}

Json example_json(const Example& example, const std::vector<Item>& catalogue, const Tokenizer* tokenizer) {
  Json json;
  if (example.user) json["user"] = *example.user;
  if (example.timestamp) json["timestamp"] = *example.timestamp;
  const auto split = example.tokens.begin() + example.prompt_length;
  if (tokenizer != nullptr) {
    json["prompt"] = tokenizer->decode({example.tokens.begin(), split});
    json["answer"] = tokenizer->decode({split, example.tokens.end()});
  }
  for (const std::uint32_t item : example.candidates) json["options"].push_back(catalogue.at(item).title);
  if (example.gold) json["gold"] = *example.gold;
  json["input_ids"] = example.tokens;
  std::vector<std::int64_t> labels(static_cast<std::size_t>(std::max<std::int64_t>(1, example.prompt_length)), -100);
  labels.insert(labels.end(), example.tokens.begin() + std::ssize(labels), example.tokens.end());
  json["labels"] = std::move(labels);
  return json;
}

}  // namespace

Json check_dataset(const DatasetInfo& info, bool verify) {
  std::int64_t num_examples = 0, num_tokens = 0;
  std::size_t num_files = info.num_items > 0 ? 1 : 0;
  if (verify) check_tokenizer(info);
  if (verify) read_catalogue(info);
  for_each_split(info, verify, [&](const std::string& name, const Dataset& dataset) {
    num_files += info.json.at("splits").at(name).at("shards").size();
    num_examples += dataset.size();
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      num_tokens += dataset.length(i);
      if (verify) check_example(dataset.example(i), info, fmt::format("example {} of {}", i, name));
    }
  });
  return {{"verified", verify}, {"files", num_files}, {"examples", num_examples}, {"tokens", num_tokens}};
}

Json show_examples(const DatasetInfo& info, std::int64_t count) {
  std::optional<Tokenizer> tokenizer;
  if (!info.tokenizer_sha256.empty()) tokenizer.emplace(info.directory);
  const std::vector<Item> catalogue = read_catalogue(info);
  Json examples = Json::array();
  for_each_split(info, /*verify=*/false, [&](const std::string& name, const Dataset& dataset) {
    for (std::int64_t i = 0; i < std::min(count, dataset.size()); ++i) {
      Json json = {{"split", name}, {"index", i}};
      json.update(example_json(dataset.example(i), catalogue, tokenizer ? &*tokenizer : nullptr));
      examples.push_back(std::move(json));
    }
  });
  return examples;
}

}  // namespace allreco::data
