// New wrong options for ready prompts, drawn so that nothing but the history tells them from the right one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/input/prompt_rows.h"
#include "data/prepare/examples/matched_items.h"
#include "data/prepare/rows/text_numbers.h"
#include "data/prepare/splits.h"

namespace allreco::data {

struct RedrawOptions {
  std::int64_t max_title_length = 200;
  std::uint64_t seed = 0;
};

/// Wrong options come from the outputs of all rows, so that all options went through the same hands, and all are
/// cleaned as titles are (data/input/titles.h). They match the right one in how often train has it as output, and in
/// length (data/prepare/examples/matched_items.h).
class RedrawnOptions {
 public:
  explicit RedrawnOptions(const RedrawOptions& options) : options_(options) {}

  /// This rank's next row. REQUIRES rows with options and gold to draw for; others only keep their place.
  void add(const ParsedRow& row, Split split);
  /// Collective, once all are added.
  void join(PrepareRanks& ranks);

  enum class Fate { redrawn, no_options, options_not_shown, unusable_output, too_few_outputs };
  static constexpr std::size_t kFates = 5;
  /// This rank's row `index` with as many options as it had, in a new order, in its text where the old ones stood. The
  /// row is unchanged unless it is redrawn. A pure function of all ranks' rows, their splits and the seed. After
  /// join(), from any thread.
  Fate redraw(std::size_t index, ParsedRow& row) const;

 private:
  RedrawOptions options_;
  TextNumbers titles_;                      // of all outputs, cleaned
  std::vector<std::int64_t> item_of_row_;   // by this rank's row: a number of titles_; -1: none
  std::vector<std::int64_t> train_counts_;  // by number
  std::uint64_t first_row_ = 0;             // of this rank among all
  std::optional<MatchedItems> matched_;
};

}  // namespace allreco::data
