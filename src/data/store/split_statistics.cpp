#include "data/store/split_statistics.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace allreco::data {
using core::Json;

namespace {

Json describe(std::vector<std::int64_t> lengths) {
  std::sort(lengths.begin(), lengths.end());
  const size_t n = lengths.size();
  const double sum = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  return {{"min", lengths.front()},
          {"mean", sum / static_cast<double>(n)},
          {"median", lengths[(n - 1) / 2]},
          {"p95", lengths[(n - 1) * 95 / 100]},
          {"max", lengths.back()}};
}

}  // namespace

void SplitStatistics::add(Split split, const Example& example) {
  lengths_[index(split)].push_back(static_cast<std::int64_t>(example.tokens.size()));
  if (!example.gold) return;
  auto& positions = gold_positions_[index(split)];
  if (positions.size() < example.candidates.size()) positions.resize(example.candidates.size());
  ++positions[*example.gold];
}

std::int64_t SplitStatistics::num_examples() const {
  std::int64_t sum = 0;
  for (Split split : kSplits) sum += num_examples(split);
  return sum;
}

Json SplitStatistics::token_lengths() const {
  Json json = Json::object();
  for (Split split : kSplits) {
    if (num_examples(split) > 0) json[name_of(split)] = describe(lengths_[index(split)]);
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
