#include "data/prepare/examples/split_plan.h"

#include <algorithm>
#include <limits>

#include "core/check.h"
#include "core/log.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/target_times.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr std::size_t kNoPlace = std::numeric_limits<std::size_t>::max();
constexpr std::size_t split_index(Split split) { return static_cast<std::size_t>(split); }

std::string split_method_of(const PrepareConfig& config) {
  if (!config.split_time.empty()) return "time";
  if (config.split != "auto") return config.split;
  return config.sequences.empty() ? "time" : "leave_last_out";
}

}  // namespace

SplitPlan::SplitPlan(const PrepareContext& context, const PrepareConfig& config, const ShopperStore& store)
    : config_(config), min_history_(min_history_of(config)), method_(split_method_of(config)) {
  context.ranks.enter("plan");
  count(context.ranks, store);
  if (counts_.possible == 0) return;  // the caller says why
  if (!config.split_time.empty()) {
    boundaries_ = parse_split_time(config.split_time);
  } else if (method_ == "random") {
    deal_at_random(context);
  } else if (is_by_time()) {
    const auto for_each_time = [&](const std::function<void(std::int64_t)>& visit) {
      store.for_each([&](Shopper& shopper) {
        const auto& purchases = shopper.purchases;
        for (auto i = static_cast<std::size_t>(min_history_); i < purchases.size(); ++i) visit(purchases[i].timestamp);
      });
    };
    boundaries_ = time_boundaries(context.ranks, for_each_time, config.validation_share, config.test_share);
  }
}

void SplitPlan::count(PrepareRanks& ranks, const ShopperStore& store) {
  store.for_each([&](Shopper& shopper) {
    ++counts_.shoppers;
    counts_.possible += num_possible(shopper);
    if (num_possible(shopper) > 0) return;
    ++counts_.short_shoppers;
    counts_.short_reviews += std::ssize(shopper.purchases);
  });
  std::vector<std::int64_t> of_ranks(static_cast<std::size_t>(ranks.size()));
  of_ranks[static_cast<std::size_t>(ranks.rank())] = counts_.possible;
  std::vector<std::int64_t> sums{counts_.shoppers, counts_.short_shoppers, counts_.short_reviews, counts_.possible};
  ranks.all_sum(of_ranks);
  ranks.all_sum(sums);
  counts_ = {sums[0], sums[1], sums[2], sums[3]};
  for (int rank = 0; rank < ranks.rank(); ++rank) first_index_ += of_ranks[static_cast<std::size_t>(rank)];
}

void SplitPlan::deal_at_random(const PrepareContext& context) {
  constexpr std::int64_t kBytesOfExample = 12;  // random_split: its place in the order, and its split
  const std::uint64_t needed = static_cast<std::uint64_t>(counts_.possible * kBytesOfExample);
  if (context.memory.limit > 0 && needed > context.memory.limit / 2)
    core::user_error(
        "split = random deals {} examples at once, which takes {} MiB of each rank, of which at most half of the "
        "memory_limit may be: raise it, or split by user or time",
        counts_.possible, needed >> 20);
  by_example_ = random_split(counts_.possible, config_.validation_share, config_.test_share, config_.seed);
  if (context.ranks.is_leader())
    core::log_warning(
        "split = random: neighbouring examples of one shopper fall into different splits, so accuracy looks better "
        "than it is");
}

std::int64_t SplitPlan::num_possible(const Shopper& shopper) const {
  return std::max<std::int64_t>(0, std::ssize(shopper.purchases) - min_history_);
}

Split SplitPlan::split_of_user(std::uint64_t user) const {
  return data::split_of_user(user, config_.validation_share, config_.test_share, config_.seed);
}

Split SplitPlan::split_of(const Shopper& shopper, std::size_t place, std::int64_t index) const {
  if (is_by_time()) return boundaries_.split_of(shopper.purchases[place].timestamp);
  if (method_ == "random") return by_example_[static_cast<std::size_t>(index)];
  if (method_ == "user") return split_of_user(shopper.user);
  const std::size_t left = shopper.purchases.size() - place;
  if (left == 1) return Split::test;
  return left == 2 && method_ == "leave_last_two_out" ? Split::validation : Split::train;
}

void SplitPlan::plan_examples(const Shopper& shopper, std::int64_t first_index,
                              std::vector<PlannedExample>& examples) const {
  examples.clear();
  const auto first = static_cast<std::size_t>(min_history_);
  for (std::size_t place = first; place < shopper.purchases.size(); ++place)
    examples.push_back({place, split_of(shopper, place, first_index + static_cast<std::int64_t>(place - first))});
  if (config_.examples_per_user != "last") return;
  std::array<std::size_t, kSplits.size()> newest{};
  for (std::size_t i = 0; i < examples.size(); ++i) newest[split_index(examples[i].split)] = i;
  std::size_t num_last = 0;
  for (std::size_t i = 0; i < examples.size(); ++i)
    if (newest[split_index(examples[i].split)] == i) examples[num_last++] = examples[i];
  examples.resize(num_last);
}

std::size_t SplitPlan::num_train_purchases(const Shopper& shopper) const {
  const std::size_t count = shopper.purchases.size();
  if (!has_train_part()) return 0;
  if (method_ == "user") return split_of_user(shopper.user) == Split::train ? count : 0;
  if (method_ == "leave_last_out") return std::max<std::size_t>(count, 1) - 1;
  if (method_ == "leave_last_two_out") return std::max<std::size_t>(count, 2) - 2;
  const auto first_later =
      std::find_if(shopper.purchases.begin(), shopper.purchases.end(),
                   [&](const Purchase& purchase) { return boundaries_.split_of(purchase.timestamp) != Split::train; });
  return static_cast<std::size_t>(first_later - shopper.purchases.begin());
}

bool SplitPlan::counts_as_train(std::uint64_t user, std::int64_t timestamp) const {
  if (is_by_time()) return boundaries_.split_of(timestamp) == Split::train;
  return method_ != "user" || split_of_user(user) == Split::train;
}

std::vector<Split> SplitPlan::needed_splits() const {
  if (method_ == "leave_last_out") return {Split::train, Split::test};
  if (method_ == "leave_last_two_out") return {Split::train, Split::validation, Split::test};
  return config_.split_time.empty() ? splits_by_share(config_) : boundaries_.splits();
}

Json SplitPlan::description() const {
  if (method_.starts_with("leave_last")) {
    return {{"method", method_},
            {"note", method_ == "leave_last_out"
                         ? "each user's last item is for test; what others bought later is in train"
                         : "each user's last item is for test, the one before for validation; what others bought later "
                           "is in train"}};
  }
  Json json = {{"method", method_}};
  if (config_.split_time.empty()) {
    json["validation_share"] = config_.validation_share;
    json["test_share"] = config_.test_share;
  }
  if (method_ == "random") {
    json["seed"] = config_.seed;
    json["note"] =
        "random by example: examples of one shopper are in several splits and the future is known; not comparable with "
        "a split by time";
  } else if (method_ == "user") {
    json["seed"] = config_.seed;
    json["note"] = "whole users by a hash: no user is in two splits; what others bought later is in train";
  } else {
    boundaries_.describe(json);
  }
  return json;
}

Visibility count_visibility(PrepareRanks& ranks, const SplitPlan& plan, const ShopperStore& store,
                            std::int64_t max_history) {
  Visibility result;
  std::int64_t newest_train = std::numeric_limits<std::int64_t>::min() + 1;  // all_min takes its negative
  plan.for_each(store, [&](Shopper& shopper, std::vector<PlannedExample>& examples) {
    std::size_t next_train = kNoPlace;  // the purchase that the nearest later train example asks for
    for (std::size_t i = examples.size(); i-- > 0;) {
      const auto [place, split] = examples[i];
      ++result.targets[split_index(split)];
      if (split == Split::train) {
        newest_train = std::max(newest_train, shopper.purchases[place].timestamp);
        next_train = place;
      } else if (next_train != kNoPlace && next_train - place <= static_cast<std::size_t>(max_history)) {
        ++result.visible[split_index(split)];
      }
    }
  });
  newest_train = ranks.max(newest_train);
  plan.for_each(store, [&](Shopper& shopper, std::vector<PlannedExample>& examples) {
    for (const auto& [place, split] : examples)
      if (split == Split::test && shopper.purchases[place].timestamp < newest_train) ++result.test_targets_before_train;
  });
  std::vector<std::int64_t> sums(result.targets.begin(), result.targets.end());
  sums.insert(sums.end(), result.visible.begin(), result.visible.end());
  sums.push_back(result.test_targets_before_train);
  ranks.all_sum(sums);
  std::copy_n(sums.begin(), kSplits.size(), result.targets.begin());
  std::copy_n(sums.begin() + kSplits.size(), kSplits.size(), result.visible.begin());
  result.test_targets_before_train = sums.back();
  const bool may_show = plan.method() == "random";
  core::require(may_show || result.visible == std::array<std::int64_t, kSplits.size()>{},
                "no target of validation or test stands in the history of a train example");
  return result;
}

Json Visibility::description(bool has_times) const {
  Json shown = Json::object();
  for (const Split split : {Split::validation, Split::test})
    if (targets[split_index(split)] > 0) shown[name_of(split)] = visible[split_index(split)];
  Json json = {{"targets_in_histories_of_train", std::move(shown)}};
  const std::int64_t tests = targets[split_index(Split::test)];
  if (has_times && tests > 0)
    json["share_of_test_targets_before_a_train_target"] =
        static_cast<double>(test_targets_before_train) / static_cast<double>(tests);
  return json;
}

}  // namespace allreco::data
