// A shopper's purchases to next-item examples, and the candidate lists. Both are pure functions of one shopper and of
// global facts (the catalogue, the train period), so any number of workers can run them on any part of the shoppers.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare/matched_items.h"
#include "data/prepare/shoppers.h"

namespace allreco::data {

struct HistoryExample {
  std::uint64_t user = 0;
  std::int64_t timestamp = 0;  // of the target
  std::uint32_t target = 0;
  std::vector<std::uint32_t> history;  // oldest first
  bool tied_with_last = false;  // the target has the same time as the newest history item: their order is a convention
  bool repeats_title = false;   // the target's title (another asin) stands in the history
  std::vector<std::uint32_t> candidates;  // as shown; empty without candidates
  std::uint8_t gold = 0;                  // index of the target in candidates
};

/// The example whose target is purchase `place` (> 0), without candidates.
HistoryExample example_at(const Shopper& shopper, std::size_t place, const std::vector<CatalogueEntry>& catalogue,
                          std::int64_t max_history);

/// Which items may be drawn as negatives, and how often. By item.
struct NegativePool {
  std::vector<std::int64_t> train_counts;      // kept reviews in the train period
  std::vector<std::int64_t> first_times = {};  // of the first kept review; empty: items of the train period only
  bool by_popularity = false;                  // in proportion to train_counts, at least 1; else uniformly
  bool is_matched = false;                     // that among items like the target (data/prepare/matched_items.h)
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
    std::vector<std::size_t> places;  // of each title that can be drawn, where it first stands among the items; sorted
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
  void add(std::uint32_t item, std::int64_t weight, std::int64_t available_from);
  std::size_t num_items_at(std::int64_t timestamp) const;
  std::uint32_t draw_item(std::uint64_t random) const;
  void match(const NegativePool& pool);
  bool draw_matched(const HistoryExample& example, const std::vector<std::uint32_t>& bought, std::size_t num_negatives,
                    core::RandomStream& stream, std::vector<std::uint32_t>& list) const;

  const std::vector<CatalogueEntry>& catalogue_;
  std::vector<std::uint32_t> items_;               // by the time from which they may be drawn
  std::vector<std::int64_t> available_from_;       // of items_
  std::vector<std::uint64_t> cumulative_weights_;  // of items_
  std::vector<std::int64_t> num_titles_;           // different ones up to each of items_
  std::vector<std::size_t> first_place_of_title_;  // by title id: the first of items_ that has it
  std::optional<MatchedItems> matched_;
  std::vector<std::int64_t> available_by_item_;  // with matched_: from when an item may be drawn
  std::uint64_t seed_;
};

}  // namespace allreco::data
