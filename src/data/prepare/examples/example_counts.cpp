#include "data/prepare/examples/example_counts.h"

#include <utility>

namespace allreco::data {
using core::Json;

void ExampleCounts::merge(const ExampleCounts& other) {
  statistics.merge(other.statistics);
  for (std::size_t split = 0; split < kSplits.size(); ++split) {
    tied_with_last[split] += other.tied_with_last[split];
    repeats_title[split] += other.repeats_title[split];
  }
  too_few_negatives += other.too_few_negatives;
  too_long += other.too_long;
  truncated += other.truncated;
  other_categories += other.other_categories;
}

void ExampleCounts::join(PrepareRanks& ranks) {
  const Json mine = {{"statistics", statistics.to_json()}, {"tied", tied_with_last}, {"repeats", repeats_title},
                     {"too_few", too_few_negatives},       {"too_long", too_long},   {"truncated", truncated},
                     {"other", other_categories}};
  ExampleCounts all;
  for (const std::string& text : ranks.all_gather(mine.dump())) {
    const Json json = Json::parse(text);
    ExampleCounts of_rank;
    of_rank.statistics = SplitStatistics::from_json(json["statistics"]);
    of_rank.tied_with_last = json["tied"].get<decltype(tied_with_last)>();
    of_rank.repeats_title = json["repeats"].get<decltype(repeats_title)>();
    of_rank.too_few_negatives = json["too_few"].get<std::int64_t>();
    of_rank.too_long = json["too_long"].get<std::int64_t>();
    of_rank.truncated = json["truncated"].get<std::int64_t>();
    of_rank.other_categories = json["other"].get<std::int64_t>();
    all.merge(of_rank);
  }
  all.target_counts = std::move(target_counts);
  ranks.all_sum(all.target_counts);
  *this = std::move(all);
}

Json ExampleCounts::shares(const std::array<std::int64_t, kSplits.size()>& counts) const {
  Json json = Json::object();
  for (const Split split : kSplits) {
    const std::int64_t n = statistics.num_examples(split);
    if (n == 0) continue;
    json[name_of(split)] = static_cast<double>(counts[static_cast<std::size_t>(split)]) / static_cast<double>(n);
  }
  return json;
}

}  // namespace allreco::data
