// NegativeSampler: the candidate lists of examples: a pure function of one shopper and of global facts (the catalogue,
// the train period), so that any number of workers can draw for any part of the shoppers.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "data/prepare/examples/draw_pool.h"
#include "data/prepare/examples/histories.h"
#include "data/prepare/examples/matched_items.h"

namespace allreco::data {

/// Which items may be drawn as negatives, and how often. By item.
struct NegativePool {
  std::vector<std::int64_t> train_counts;      // kept reviews in the train period
  std::vector<std::int64_t> first_times = {};  // of the first kept review; empty: items of the train period only
  bool by_popularity = false;                  // in proportion to train_counts, at least 1; else uniformly
  bool is_matched = false;   // that among items like the target (data/prepare/examples/matched_items.h)
  bool of_category = false;  // uniformly among items of the target's category, as far as it has them
};

/// Draws negatives from the items of the train period and those that were first bought by the time of the target: were
/// newer items never negatives, the newest item of a list would be its target.
class NegativeSampler {
 public:
  NegativeSampler(const std::vector<CatalogueEntry>& catalogue, const NegativePool& pool, std::uint64_t seed);

  /// What a shopper's titles exclude from the draw: made once for all of its examples, so that one with very many costs
  /// no more than n log n.
  struct Exclusions {
    const std::vector<std::uint32_t>* titles = nullptr;  // the shopper's, sorted
    /// Of each title and each pool that has it: the pool and where it first stands there. Sorted.
    std::vector<std::pair<std::uint32_t, std::size_t>> places;
  };
  /// Keeps a pointer to the shopper's titles.
  Exclusions exclusions_of(const Shopper& shopper) const;

  /// Sets candidates and gold: the target and num_candidates - 1 negatives, none with the title of anything that the
  /// shopper has ever bought, all titles different, in random order. A pure function of (seed, user, timestamp, target)
  /// and of the sampler's items. False (and the example unchanged) when there are not enough such items.
  bool draw(HistoryExample& example, const Exclusions& exclusions, std::int64_t num_candidates) const;
  bool draw(HistoryExample& example, const Shopper& shopper, std::int64_t num_candidates) const {
    return draw(example, exclusions_of(shopper), num_candidates);
  }

 private:
  using Items = std::vector<std::uint32_t>;
  void add(std::uint32_t item, std::int64_t weight, std::int64_t available_from);
  void add_to(std::uint32_t pool, std::uint32_t item, std::int64_t weight, std::int64_t available_from);
  void find_categories();
  void match(const NegativePool& pool);
  bool may_follow(std::uint32_t item, const Items& bought, const Items& list) const;
  std::int64_t num_free_titles(std::uint32_t pool, std::int64_t timestamp, const Exclusions& exclusions) const;
  void draw_from(std::uint32_t pool, const HistoryExample& example, std::size_t size, const Items& bought,
                 core::RandomStream& stream, Items& list) const;
  bool draw_matched(const HistoryExample& example, const Items& bought, std::size_t num_negatives,
                    core::RandomStream& stream, Items& list) const;

  /// Where a title first stands in a pool; those of one title are a list.
  struct TitlePlace {
    std::uint32_t pool = 0, next = 0;  // next: index of places_; kEnd behind the last
    std::size_t place = 0;
  };

  const std::vector<CatalogueEntry>& catalogue_;
  std::vector<DrawPool> pools_ = std::vector<DrawPool>(1);  // of all items, and with of_category one of each category
  std::vector<std::uint32_t> pool_of_item_;                 // of its category
  std::vector<TitlePlace> places_;
  std::vector<std::uint32_t> first_place_of_title_;  // index of places_
  std::optional<MatchedItems> matched_;
  std::vector<std::int64_t> available_by_item_;  // with matched_: from when an item may be drawn
  std::uint64_t seed_;
};

}  // namespace allreco::data
