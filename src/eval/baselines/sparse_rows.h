// SparseRows: item -> (item, weight), the inverted indices that baselines add up.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
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
