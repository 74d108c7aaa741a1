#include "data/prepare/examples/matched_items.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

namespace allreco::data {

namespace {

/// 0, 1, 2 and 3, 4 to 7, ...
int band_of(std::int64_t count) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count))); }

}  // namespace

MatchedItems::MatchedItems(std::span<const Traits> items) : order_(items.size()), cell_of_(items.size()) {
  for (const Traits& item : items)
    weights_.push_back(static_cast<std::uint64_t>(std::max<std::int64_t>(1, item.train_count)));
  std::iota(order_.begin(), order_.end(), 0U);
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(-band_of(items[a].train_count), items[a].length, a) <
           std::tuple(-band_of(items[b].train_count), items[b].length, b);
  });
  // The most popular bands have few items: they join the next ones until there are enough, and are put in order of
  // length together.
  for (std::size_t begin = 0, end = 0; begin < order_.size(); begin = end) {
    const auto is_of_next_band = [&](std::size_t place) {
      return band_of(items[order_[place]].train_count) != band_of(items[order_[place - 1]].train_count);
    };
    end = begin + 1;
    while (end < order_.size() && !(end - begin >= kCellSize && is_of_next_band(end))) ++end;
    std::sort(order_.begin() + static_cast<std::ptrdiff_t>(begin), order_.begin() + static_cast<std::ptrdiff_t>(end),
              [&](std::uint32_t a, std::uint32_t b) {
                return std::tuple(items[a].length, a) < std::tuple(items[b].length, b);
              });
    cut({begin, end});
  }
}

void MatchedItems::cut(Range band) {
  const std::size_t size = band.end - band.begin, num_cells = std::max<std::size_t>(1, size / kCellSize);
  for (std::size_t cell = 0; cell < num_cells; ++cell) {
    const Range range{band.begin + cell * size / num_cells, band.begin + (cell + 1) * size / num_cells};
    for (std::size_t place = range.begin; place < range.end; ++place) cell_of_[order_[place]] = range;
  }
}

bool MatchedItems::draw_within(Range range, std::size_t count, core::RandomStream& stream,
                               std::vector<std::uint32_t>& list,
                               const std::function<bool(std::uint32_t item)>& may_follow) const {
  const std::size_t before = list.size();
  while (list.size() < before + count) {
    std::vector<std::uint32_t> left;
    std::uint64_t sum = 0;
    for (std::size_t place = range.begin; place < range.end; ++place) {
      if (!may_follow(order_[place])) continue;
      left.push_back(order_[place]);
      sum += weights_[order_[place]];
    }
    if (left.empty()) {
      list.resize(before);
      return false;
    }
    std::uint64_t random = stream.next_below(sum);
    std::size_t chosen = 0;
    while (random >= weights_[left[chosen]]) random -= weights_[left[chosen++]];
    list.push_back(left[chosen]);
  }
  return true;
}

bool MatchedItems::draw(std::uint32_t target, std::size_t count, core::RandomStream& stream,
                        std::vector<std::uint32_t>& list,
                        const std::function<bool(std::uint32_t item)>& may_follow) const {
  Range range = cell_of_[target];
  while (!draw_within(range, count, stream, list, may_follow)) {
    if (range.begin == 0 && range.end == order_.size()) return false;
    const std::size_t more = range.end - range.begin;
    range = {range.begin - std::min(range.begin, more), std::min(range.end + more, order_.size())};
  }
  return true;
}

}  // namespace allreco::data
