// SparseRows: item -> (item, weight), the inverted indices that baselines add up.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace allreco::eval {

struct Weighted {
  std::uint32_t item = 0;
  double weight = 0;
};

class SparseRows {
 public:
  /// Entries of one row and item are added up, in the order given.
  struct Entry {
    std::uint32_t row = 0;
    Weighted to = {};
  };
  SparseRows(std::size_t num_rows, std::vector<Entry> entries) : begins_(num_rows + 1) {
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return a.row != b.row ? a.row < b.row : a.to.item < b.to.item;
    });
    std::uint32_t last_row = 0;
    for (const Entry& entry : entries) {
      if (!values_.empty() && last_row == entry.row && values_.back().item == entry.to.item) {
        values_.back().weight += entry.to.weight;
        continue;
      }
      last_row = entry.row;
      values_.push_back(entry.to);
      ++begins_[entry.row + 1];
    }
    for (std::size_t row = 0; row < num_rows; ++row) begins_[row + 1] += begins_[row];
  }

  /// Row by row, in the memory of the result and one dense row: fill(row, add) calls add(item) once for each count.
  template <class Fill>
  static SparseRows counted(std::size_t num_rows, std::size_t num_items, const Fill& fill) {
    SparseRows rows(num_rows, {});
    std::vector<double> counts(num_items);
    std::vector<std::uint32_t> counted_items;
    const auto add = [&](std::uint32_t item) {
      if (counts[item]++ == 0) counted_items.push_back(item);
    };
    for (std::uint32_t row = 0; row < num_rows; ++row) {
      fill(row, add);
      std::sort(counted_items.begin(), counted_items.end());
      for (const std::uint32_t item : counted_items) rows.values_.push_back({item, std::exchange(counts[item], 0.0)});
      counted_items.clear();
      rows.begins_[row + 1] = rows.values_.size();
    }
    return rows;
  }

  std::span<Weighted> row(std::uint32_t index) { return {values_.data() + begins_[index], size(index)}; }
  std::span<const Weighted> row(std::uint32_t index) const { return {values_.data() + begins_[index], size(index)}; }
  std::size_t num_rows() const { return begins_.size() - 1; }

  /// scores[item] += factor * weight, for each item of a row.
  void add_row(std::uint32_t index, double factor, std::span<double> scores) const {
    for (const auto& [item, weight] : row(index)) scores[item] += factor * weight;
  }

 private:
  std::size_t size(std::uint32_t index) const { return begins_[index + 1] - begins_[index]; }

  std::vector<std::size_t> begins_;  // by row; the last: all values
  std::vector<Weighted> values_;
};

}  // namespace allreco::eval
