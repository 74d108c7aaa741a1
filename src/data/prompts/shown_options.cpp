#include "data/prompts/shown_options.h"

#include <algorithm>

namespace allreco::data {

std::vector<TextRange> find_options_in_order(std::string_view text, std::span<const std::string> options) {
  std::vector<TextRange> ranges(options.size());
  size_t limit = text.size();  // each option as late as the next one allows: that is the latest place for the first
  for (size_t left = options.size(); left > 0; --left) {
    const std::string& option = options[left - 1];
    if (option.size() > limit) return {};
    const size_t place = text.rfind(option, limit - option.size());
    if (place == std::string_view::npos) return {};
    ranges[left - 1] = {place, place + option.size()};
    limit = place;
  }
  return ranges;
}

std::optional<TextRange> find_shown_options(std::string_view text, std::span<const std::string> options) {
  const std::vector<TextRange> in_order = find_options_in_order(text, options);
  if (!in_order.empty()) return TextRange{in_order.front().begin, in_order.back().end};
  TextRange range{text.size(), 0};
  for (const std::string& option : options) {
    const size_t place = text.rfind(option);
    if (place == std::string_view::npos) continue;
    range.begin = std::min(range.begin, place);
    range.end = std::max(range.end, place + option.size());
  }
  return range.end == 0 ? std::nullopt : std::optional(range);
}

}  // namespace allreco::data
