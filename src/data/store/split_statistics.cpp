#include "data/store/split_statistics.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/check.h"

namespace allreco::data {
using core::Json;

namespace {

/// The element at `place` of the sorted lengths.
std::int64_t length_at(const std::map<std::int64_t, std::int64_t>& lengths, std::int64_t place) {
  for (const auto& [length, count] : lengths) {
    if (place < count) return length;
    place -= count;
  }
  return 0;
}

Json describe(const std::map<std::int64_t, std::int64_t>& lengths, std::int64_t n) {
  std::int64_t sum = 0;
  for (const auto& [length, count] : lengths) sum += length * count;
  return {{"min", lengths.begin()->first},
          {"mean", static_cast<double>(sum) / static_cast<double>(n)},
          {"median", length_at(lengths, (n - 1) / 2)},
          {"p95", length_at(lengths, (n - 1) * 95 / 100)},
          {"max", lengths.rbegin()->first}};
}

}  // namespace

void SplitStatistics::add(Split split, const Example& example) {
  ++num_examples_[index(split)];
  ++lengths_[index(split)][static_cast<std::int64_t>(example.tokens.size())];
  if (!example.gold) return;
  auto& positions = gold_positions_[index(split)];
  if (positions.size() < example.candidates.size()) positions.resize(example.candidates.size());
  ++positions[*example.gold];
}

void SplitStatistics::merge(const SplitStatistics& other) {
  for (size_t split = 0; split < kSplits.size(); ++split) {
    num_examples_[split] += other.num_examples_[split];
    for (const auto& [length, count] : other.lengths_[split]) lengths_[split][length] += count;
    const auto& more = other.gold_positions_[split];
    if (gold_positions_[split].size() < more.size()) gold_positions_[split].resize(more.size());
    for (size_t i = 0; i < more.size(); ++i) gold_positions_[split][i] += more[i];
  }
}

Json SplitStatistics::to_json() const {
  Json lengths = Json::array();
  for (const auto& of_split : lengths_) {
    lengths.push_back(Json::array());
    for (const auto& [length, count] : of_split) lengths.back().push_back({length, count});
  }
  return {{"num_examples", num_examples_}, {"lengths", std::move(lengths)}, {"gold_positions", gold_positions_}};
}

SplitStatistics SplitStatistics::from_json(const Json& json) {
  SplitStatistics result;
  for (size_t split = 0; split < kSplits.size(); ++split) {
    result.num_examples_[split] = json["num_examples"][split].get<std::int64_t>();
    for (const Json& entry : json["lengths"][split])
      result.lengths_[split][entry[0].get<std::int64_t>()] = entry[1].get<std::int64_t>();
    result.gold_positions_[split] = json["gold_positions"][split].get<std::vector<std::int64_t>>();
  }
  return result;
}

std::int64_t SplitStatistics::num_examples() const {
  std::int64_t sum = 0;
  for (Split split : kSplits) sum += num_examples(split);
  return sum;
}

Json SplitStatistics::token_lengths() const {
  Json json = Json::object();
  for (Split split : kSplits) {
    if (num_examples(split) > 0) json[name_of(split)] = describe(lengths_[index(split)], num_examples(split));
  }
  return json;
}

Json SplitStatistics::gold_positions() const {
  Json json = Json::object();
  for (Split split : kSplits) {
    if (!gold_positions_[index(split)].empty()) json[name_of(split)] = gold_positions_[index(split)];
  }
  return json;
}

std::string SplitStatistics::summary() const {
  std::string text;
  for (Split split : kSplits) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(split), num_examples(split));
  }
  return text;
}

}  // namespace allreco::data
