// New wrong options for ready prompts, drawn so that nothing but the history tells them from the right one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/input/prompt_rows.h"
#include "data/prepare/matched_items.h"
#include "data/prepare/splits.h"

namespace allreco::data {

struct RedrawOptions {
  std::int64_t max_title_length = 200;
  std::uint64_t seed = 0;
};

/// Wrong options come from the outputs of all rows, so that all options went through the same hands, and all are
/// cleaned as titles are (data/input/titles.h). They match the right one in how often train has it as output, and in
/// length (data/prepare/matched_items.h).
class RedrawnOptions {
 public:
  /// `splits`: of each row. REQUIRES rows with options and gold to draw for; others only keep their place.
  RedrawnOptions(const std::vector<ParsedRow>& rows, const std::vector<Split>& splits, const RedrawOptions& options);

  enum class Fate { redrawn, no_options, options_not_shown, unusable_output, too_few_outputs };
  /// Row `index` with as many options as it had, in a new order, in its text where the old ones stood. The row is
  /// unchanged unless it is redrawn. A pure function of all rows, their splits and the seed.
  Fate redraw(std::size_t index, ParsedRow& row) const;

 private:
  RedrawOptions options_;
  std::vector<std::string> titles_;        // of all outputs, cleaned, each once
  std::vector<std::int64_t> item_of_row_;  // index into titles_; -1: none
  std::optional<MatchedItems> matched_;
};

}  // namespace allreco::data
