#include "data/prepare/examples/negative_sampler.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "core/random.h"

namespace allreco::data {

namespace {

constexpr std::uint32_t kEnd = 0xFFFFFFFF;  // of a title's list of places
constexpr std::uint32_t kAllItems = 0;      // the pool of them

}  // namespace

NegativeSampler::NegativeSampler(const std::vector<CatalogueEntry>& catalogue, const NegativePool& pool,
                                 std::uint64_t seed)
    : catalogue_(catalogue), seed_(core::mix_key(seed, {core::key_of("candidates")})) {
  if (pool.of_category) find_categories();
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

void NegativeSampler::find_categories() {
  std::unordered_map<std::string_view, std::uint32_t> pools;
  for (const CatalogueEntry& entry : catalogue_)
    pool_of_item_.push_back(
        pools.try_emplace(entry.details.category, static_cast<std::uint32_t>(pools.size() + 1)).first->second);
  pools_.resize(pools.size() + 1);
}

void NegativeSampler::match(const NegativePool& pool) {
  std::vector<MatchedItems::Traits> traits;
  for (std::size_t item = 0; item < catalogue_.size(); ++item)
    traits.push_back({pool.train_counts[item], std::ssize(catalogue_[item].title)});
  matched_.emplace(traits);
  available_by_item_.assign(catalogue_.size(), std::numeric_limits<std::int64_t>::max());
  const DrawPool& all = pools_[kAllItems];
  for (std::size_t place = 0; place < all.size(); ++place)
    available_by_item_[all.item_at(place)] = all.available_from(place);
}

void NegativeSampler::add(std::uint32_t item, std::int64_t weight, std::int64_t available_from) {
  add_to(kAllItems, item, weight, available_from);
  if (!pool_of_item_.empty()) add_to(pool_of_item_[item], item, weight, available_from);
}

void NegativeSampler::add_to(std::uint32_t pool, std::uint32_t item, std::int64_t weight, std::int64_t available_from) {
  const std::size_t title = catalogue_[item].title_id;
  if (title >= first_place_of_title_.size()) first_place_of_title_.resize(title + 1, kEnd);
  std::uint32_t known = first_place_of_title_[title];
  while (known != kEnd && places_[known].pool != pool) known = places_[known].next;
  if (known == kEnd) {
    places_.push_back({pool, first_place_of_title_[title], pools_[pool].size()});
    first_place_of_title_[title] = static_cast<std::uint32_t>(places_.size() - 1);
  }
  pools_[pool].add(item, weight, available_from, known == kEnd);
}

NegativeSampler::Exclusions NegativeSampler::exclusions_of(const Shopper& shopper) const {
  Exclusions exclusions{&shopper.bought_titles, {}};
  for (const std::uint32_t title : shopper.bought_titles) {
    if (title >= first_place_of_title_.size()) continue;
    for (std::uint32_t at = first_place_of_title_[title]; at != kEnd; at = places_[at].next)
      exclusions.places.emplace_back(places_[at].pool, places_[at].place);
  }
  std::sort(exclusions.places.begin(), exclusions.places.end());
  return exclusions;
}

std::int64_t NegativeSampler::num_free_titles(std::uint32_t pool, std::int64_t timestamp,
                                              const Exclusions& exclusions) const {
  const std::size_t num_items = pools_[pool].num_items_at(timestamp);
  const auto before = [&](std::size_t place) {
    return std::lower_bound(exclusions.places.begin(), exclusions.places.end(), std::pair(pool, place));
  };
  return pools_[pool].num_titles(num_items) - (before(num_items) - before(0));
}

bool NegativeSampler::may_follow(std::uint32_t item, const Items& bought, const Items& list) const {
  const std::uint32_t title = catalogue_[item].title_id;
  return !std::binary_search(bought.begin(), bought.end(), title) &&
         std::none_of(list.begin(), list.end(),
                      [&](std::uint32_t other) { return catalogue_[other].title_id == title; });
}

/// Until the list has `size` items. REQUIRES as many free titles.
void NegativeSampler::draw_from(std::uint32_t pool, const HistoryExample& example, std::size_t size,
                                const Items& bought, core::RandomStream& stream, Items& list) const {
  const std::size_t num_items = pools_[pool].num_items_at(example.timestamp);
  while (list.size() < size) {
    const std::uint32_t item = pools_[pool].draw(num_items, stream);
    if (may_follow(item, bought, list)) list.push_back(item);
  }
}

bool NegativeSampler::draw_matched(const HistoryExample& example, const Items& bought, std::size_t num_negatives,
                                   core::RandomStream& stream, Items& list) const {
  return matched_->draw(example.target, num_negatives, stream, list, [&](std::uint32_t item) {
    return available_by_item_[item] <= example.timestamp && may_follow(item, bought, list);
  });
}

bool NegativeSampler::draw(HistoryExample& example, const Exclusions& exclusions, std::int64_t num_candidates) const {
  const Items& bought = *exclusions.titles;  // the target's among them
  const auto size = static_cast<std::size_t>(num_candidates);
  if (num_free_titles(kAllItems, example.timestamp, exclusions) < num_candidates - 1) return false;

  core::RandomStream stream(core::mix_key(
      seed_, {example.user, static_cast<std::uint64_t>(example.timestamp), std::uint64_t{example.target}}));
  Items list = {example.target};
  if (matched_ && !draw_matched(example, bought, size - 1, stream, list)) return false;
  if (!pool_of_item_.empty()) {
    const std::uint32_t category = pool_of_item_[example.target];
    const auto num_free = static_cast<std::size_t>(num_free_titles(category, example.timestamp, exclusions));
    draw_from(category, example, std::min(size, 1 + num_free), bought, stream, list);
    example.has_other_categories = list.size() < size;
  }
  draw_from(kAllItems, example, size, bought, stream, list);
  for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[stream.next_below(i)]);
  example.gold = static_cast<std::uint8_t>(std::find(list.begin(), list.end(), example.target) - list.begin());
  example.candidates = std::move(list);
  return true;
}

}  // namespace allreco::data
