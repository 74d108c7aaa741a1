// TextNumbers: numbers texts in the order in which they first come, over all ranks, as if one had seen them all.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/prepare/ranks.h"
#include "data/prepare/shoppers/item_table.h"

namespace allreco::data {

class TextNumbers {
 public:
  /// Of this rank's texts, until join().
  std::uint32_t number_of(std::string_view text) { return own_.number_of(text); }

  /// Collective, once: lower ranks' texts come first.
  void join(PrepareRanks& ranks);
  /// After join(): all texts by number, and the number of one that this rank had numbered.
  const std::vector<std::string>& texts() const { return texts_; }
  std::uint32_t joined(std::uint32_t own) const { return joined_[own]; }

 private:
  ItemNumbers own_;
  std::vector<std::string> texts_;
  std::vector<std::uint32_t> joined_;  // by this rank's number
};

}  // namespace allreco::data
