// DrawPool: items to draw from, in the order of the time from which each may be drawn.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/random.h"

namespace allreco::data {

class DrawPool {
 public:
  /// REQUIRES times that never fall. `is_new_title`: no item before has its title.
  void add(std::uint32_t item, std::int64_t weight, std::int64_t available_from, bool is_new_title) {
    num_titles_.push_back((num_titles_.empty() ? 0 : num_titles_.back()) + is_new_title);
    cumulative_weights_.push_back((cumulative_weights_.empty() ? 0 : cumulative_weights_.back()) +
                                  static_cast<std::uint64_t>(weight));
    items_.push_back(item);
    available_from_.push_back(available_from);
  }

  std::size_t size() const { return items_.size(); }
  /// How many of them may be drawn at a time: these stand first.
  std::size_t num_items_at(std::int64_t timestamp) const {
    return static_cast<std::size_t>(std::upper_bound(available_from_.begin(), available_from_.end(), timestamp) -
                                    available_from_.begin());
  }
  /// Different titles among the first so many.
  std::int64_t num_titles(std::size_t num_items) const { return num_items == 0 ? 0 : num_titles_[num_items - 1]; }
  /// One of the first so many, in proportion to the weights. REQUIRES one.
  std::uint32_t draw(std::size_t num_items, core::RandomStream& stream) const {
    const std::uint64_t random = stream.next_below(cumulative_weights_[num_items - 1]);
    const auto place = std::upper_bound(cumulative_weights_.begin(), cumulative_weights_.end(), random);
    return items_[static_cast<std::size_t>(place - cumulative_weights_.begin())];
  }
  std::uint32_t item_at(std::size_t place) const { return items_[place]; }
  std::int64_t available_from(std::size_t place) const { return available_from_[place]; }

 private:
  std::vector<std::uint32_t> items_;
  std::vector<std::int64_t> available_from_, num_titles_;
  std::vector<std::uint64_t> cumulative_weights_;
};

}  // namespace allreco::data
