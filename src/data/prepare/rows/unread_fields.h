// The names of fields that rows have and prepare does not read, with how many rows have them: of very many names those
// that come first in the alphabet, because these are the same however the rows are shared out.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>

#include "core/json.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

class UnreadFields {
 public:
  static constexpr std::size_t kMost = 20;

  /// A name that is among the first of all rows is so among those seen so far, so it is counted from its first row on.
  void add(const std::string& name, std::int64_t rows = 1) {
    rows_[name] += rows;
    if (rows_.size() > kMost) rows_.erase(std::prev(rows_.end()));
  }
  void merge(const UnreadFields& other) {
    for (const auto& [name, rows] : other.rows_) add(name, rows);
  }
  /// Collective: of all ranks' rows.
  void join(PrepareRanks& ranks) {
    const core::Json mine = rows_;
    rows_.clear();
    for (const std::string& text : ranks.all_gather(mine.dump(-1, ' ', false, core::Json::error_handler_t::replace))) {
      const core::Json of_rank = core::Json::parse(text);
      for (const auto& [name, rows] : of_rank.items()) add(name, rows.get<std::int64_t>());
    }
  }
  const std::map<std::string, std::int64_t>& rows() const { return rows_; }

 private:
  std::map<std::string, std::int64_t> rows_;
};

}  // namespace allreco::data
