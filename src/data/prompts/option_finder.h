// Finds the options that a prompt's text shows, where a dataset does not list them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/regex.h"
#include "data/prompts/template.h"

namespace allreco::data {

struct FoundOptions {
  std::vector<std::string> options;  // trimmed, in the order shown
  std::size_t begin = 0, end = 0;    // bytes of the text that show them
};

class OptionFinder {
 public:
  /// A pattern of two groups or more: each of its first match is an option. Of one group: each match holds one. None:
  /// each match is one.
  static OptionFinder by_pattern(const std::string& pattern);
  /// What stands behind the template's labels, such as A), B), ..., from the last A) on that a B) follows; the last
  /// option ends with its line, less what the template puts behind its {options}.
  static OptionFinder by_labels(const PromptTemplate& prompt_template);

  /// None where the text does not show at least two.
  std::optional<FoundOptions> find(std::string_view text) const;

 private:
  OptionFinder() = default;
  std::optional<FoundOptions> find_by_pattern(std::string_view text) const;
  std::optional<FoundOptions> find_by_labels(std::string_view text) const;
  std::optional<FoundOptions> labelled_from(std::string_view text, std::size_t first) const;

  std::optional<core::Regex> pattern_;
  std::vector<std::string> markers_;  // what stands before each option
  std::string behind_;                // what the template puts behind the last one
};

/// A sentence may end behind the last option, as `... D) title.` does. Where nine in ten lists end with a full stop and
/// fewer of the other options do, it is the sentence's: it is taken off all of them. `lists`: none is empty.
void remove_final_stops(std::vector<std::vector<std::string>*>& lists);

}  // namespace allreco::data
