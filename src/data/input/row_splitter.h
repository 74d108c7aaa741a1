// Deals ready rows (prompts, tokens) to splits: by their own split field, or once all are known by their times, by what
// is each user's last, or at random.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare.h"
#include "data/prepare/splits.h"
#include "data/store/dataset.h"

namespace allreco::data {

/// Sets `split` from the row's field of that name, nothing where it is missing or null. Returns "" or what is wrong
/// with it.
std::string parse_split(const core::Json& row, std::optional<Split>& split);

class RowSplitter {
 public:
  using Sink = std::function<void(Split, const Example&)>;
  enum class Default { rows, random };  // what split = auto does when no row has a split field

  /// `sink` receives the examples of each split in the order in which they were added. Rows that can be dealt at once
  /// are not kept.
  RowSplitter(const PrepareConfig& config, Default when_auto, Sink sink);

  void add(Example example, std::optional<Split> row_split);
  /// Deals what has been kept; call it once, at the end. UserError when the split needs times or users that rows lack.
  void finish();
  /// {method: rows | random | time | leave_last_out | ..., ...}, for dataset.json; after finish().
  core::Json description() const;
  /// For messages: "by the rows' fields", "at random", ...
  std::string how() const;
  /// Those that must get examples.
  std::vector<Split> needed_splits() const;

 private:
  std::vector<Split> deal();
  std::vector<Split> by_time();
  std::vector<Split> leave_last_out() const;
  void require_field(const char* name, bool (*has)(const Example&)) const;

  const PrepareConfig& config_;
  Sink sink_;
  bool waits_;          // for all rows before the first is dealt
  std::string method_;  // rows, random, time, leave_last_out, leave_last_two_out
  TimeBoundaries boundaries_;
  bool any_row_split_ = false;
  std::vector<std::pair<Example, std::optional<Split>>> waiting_;
};

}  // namespace allreco::data
