// Items alike in popularity and in the length of their text: what negatives are drawn from that must not differ from
// the target in either.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/random.h"

namespace allreco::data {

/// Items are cut into cells: by the power of two of their train count, then by length. A target's negatives come from
/// its own cell, in proportion to their counts. A cell is the same for all of its items, so that the target is nowhere
/// special in it (with windows around the target it would be the middle one); and counts are the odds of being a
/// target, so that the target of a list is no more popular than the rest of it.
class MatchedItems {
 public:
  struct Traits {
    std::int64_t train_count = 0;
    std::int64_t length = 0;
  };
  static constexpr std::size_t kCellSize = 16;  // items of a cell at least, where there are as many
  explicit MatchedItems(std::span<const Traits> items);

  /// Appends `count` items to `list`, one after another from those of the target's cell for which `may_follow` holds;
  /// it is asked anew for each, as `list` grows. Where the cell has too few, as many neighbours on both sides join it
  /// as it takes. False (and `list` as it was) when all items together have too few.
  bool draw(std::uint32_t target, std::size_t count, core::RandomStream& stream, std::vector<std::uint32_t>& list,
            const std::function<bool(std::uint32_t item)>& may_follow) const;

 private:
  struct Range {
    std::size_t begin = 0, end = 0;  // of order_
  };
  void cut(Range band);
  bool draw_within(Range range, std::size_t count, core::RandomStream& stream, std::vector<std::uint32_t>& list,
                   const std::function<bool(std::uint32_t item)>& may_follow) const;

  std::vector<std::uint64_t> weights_;  // by item
  std::vector<std::uint32_t> order_;    // items by band, then length
  std::vector<Range> cell_of_;          // by item
};

}  // namespace allreco::data
