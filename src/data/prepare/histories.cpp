#include "data/prepare/histories.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/check.h"
#include "core/random.h"

namespace allreco::data {

namespace {

constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

}  // namespace

HistoryExample example_at(const Shopper& shopper, std::size_t place, const std::vector<CatalogueEntry>& catalogue,
                          std::int64_t max_history) {
  const auto& purchases = shopper.purchases;
  const Purchase& target = purchases[place];
  HistoryExample example;
  example.user = shopper.user;
  example.timestamp = target.timestamp;
  example.target = target.item;
  for (size_t k = place - std::min(place, static_cast<size_t>(max_history)); k < place; ++k) {
    example.history.push_back(purchases[k].item);
    if (catalogue[purchases[k].item].title_id == catalogue[example.target].title_id) example.repeats_title = true;
  }
  example.tied_with_last = is_same_time(purchases[place - 1], target);
  return example;
}

NegativeSampler::NegativeSampler(const std::vector<CatalogueEntry>& catalogue, const NegativePool& pool,
                                 std::uint64_t seed)
    : catalogue_(catalogue), seed_(core::mix_key(seed, {core::key_of("candidates")})) {
  std::vector<std::uint32_t> newer;
  for (std::uint32_t item = 0; item < catalogue.size(); ++item) {
    if (pool.train_counts[item] > 0)
      add(item, pool.by_popularity ? pool.train_counts[item] : 1, std::numeric_limits<std::int64_t>::min());
    else if (!pool.first_times.empty())
      newer.push_back(item);
  }
  std::stable_sort(newer.begin(), newer.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return pool.first_times[a] < pool.first_times[b]; });
  for (const std::uint32_t item : newer) add(item, 1, pool.first_times[item]);
  if (pool.is_matched) match(pool);
}

void NegativeSampler::match(const NegativePool& pool) {
  std::vector<MatchedItems::Traits> traits;
  for (std::size_t item = 0; item < catalogue_.size(); ++item)
    traits.push_back({pool.train_counts[item], std::ssize(catalogue_[item].title)});
  matched_.emplace(traits);
  available_by_item_.assign(catalogue_.size(), std::numeric_limits<std::int64_t>::max());
  for (std::size_t place = 0; place < items_.size(); ++place)
    available_by_item_[items_[place]] = available_from_[place];
}

bool NegativeSampler::draw_matched(const HistoryExample& example, const std::vector<std::uint32_t>& bought,
                                   std::size_t num_negatives, core::RandomStream& stream,
                                   std::vector<std::uint32_t>& list) const {
  return matched_->draw(example.target, num_negatives, stream, list, [&](std::uint32_t item) {
    const std::uint32_t title = catalogue_[item].title_id;
    return available_by_item_[item] <= example.timestamp && !std::binary_search(bought.begin(), bought.end(), title) &&
           std::none_of(list.begin(), list.end(),
                        [&](std::uint32_t other) { return catalogue_[other].title_id == title; });
  });
}

void NegativeSampler::add(std::uint32_t item, std::int64_t weight, std::int64_t available_from) {
  const size_t title = catalogue_[item].title_id;
  if (title >= first_place_of_title_.size()) first_place_of_title_.resize(title + 1, kNowhere);
  const bool is_new = first_place_of_title_[title] == kNowhere;
  if (is_new) first_place_of_title_[title] = items_.size();
  num_titles_.push_back((num_titles_.empty() ? 0 : num_titles_.back()) + is_new);
  cumulative_weights_.push_back((cumulative_weights_.empty() ? 0 : cumulative_weights_.back()) +
                                static_cast<std::uint64_t>(weight));
  items_.push_back(item);
  available_from_.push_back(available_from);
}

size_t NegativeSampler::num_items_at(std::int64_t timestamp) const {
  return static_cast<size_t>(std::upper_bound(available_from_.begin(), available_from_.end(), timestamp) -
                             available_from_.begin());
}

std::uint32_t NegativeSampler::draw_item(std::uint64_t random) const {
  const auto place = std::upper_bound(cumulative_weights_.begin(), cumulative_weights_.end(), random);
  return items_[static_cast<size_t>(place - cumulative_weights_.begin())];
}

NegativeSampler::Exclusions NegativeSampler::exclusions_of(const Shopper& shopper) const {
  Exclusions exclusions{&shopper.bought_titles, {}};
  for (const std::uint32_t title : shopper.bought_titles)
    if (title < first_place_of_title_.size() && first_place_of_title_[title] != kNowhere)
      exclusions.places.push_back(first_place_of_title_[title]);
  std::sort(exclusions.places.begin(), exclusions.places.end());
  return exclusions;
}

bool NegativeSampler::draw(HistoryExample& example, const Exclusions& exclusions, std::int64_t num_candidates) const {
  const auto& bought = *exclusions.titles;  // the target's among them
  const size_t num_items = num_items_at(example.timestamp);
  const auto num_excluded =
      std::lower_bound(exclusions.places.begin(), exclusions.places.end(), num_items) - exclusions.places.begin();
  if (num_items == 0 || num_titles_[num_items - 1] - num_excluded < num_candidates - 1)
    return false;  // else the loop below ends

  core::RandomStream stream(core::mix_key(
      seed_, {example.user, static_cast<std::uint64_t>(example.timestamp), std::uint64_t{example.target}}));
  std::vector<std::uint32_t> list = {example.target};
  const auto is_shown = [&](std::uint32_t title) {
    return std::any_of(list.begin(), list.end(),
                       [&](std::uint32_t item) { return catalogue_[item].title_id == title; });
  };
  if (matched_ && !draw_matched(example, bought, static_cast<size_t>(num_candidates - 1), stream, list)) return false;
  while (static_cast<std::int64_t>(list.size()) < num_candidates) {
    const std::uint32_t item = draw_item(stream.next_below(cumulative_weights_[num_items - 1]));
    const std::uint32_t title = catalogue_[item].title_id;
    if (!std::binary_search(bought.begin(), bought.end(), title) && !is_shown(title)) list.push_back(item);
  }
  for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[stream.next_below(i)]);
  example.gold = static_cast<std::uint8_t>(std::find(list.begin(), list.end(), example.target) - list.begin());
  example.candidates = std::move(list);
  return true;
}

}  // namespace allreco::data
