// Deals ready rows (prompts, tokens) to splits: by their own split field, or at random once all are known.
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
  /// Deals what has been kept; call it once, at the end.
  void finish();
  /// {method: rows | random, ...}, for dataset.json; after finish().
  core::Json description() const;
  bool is_random() const { return is_random_; }

 private:
  const PrepareConfig& config_;
  Sink sink_;
  bool waits_;  // for all rows before the first is dealt
  bool is_random_ = false;
  bool any_row_split_ = false;
  std::vector<std::pair<Example, std::optional<Split>>> waiting_;
};

}  // namespace allreco::data
