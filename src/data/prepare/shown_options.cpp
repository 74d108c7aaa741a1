#include "data/prepare/shown_options.h"

#include <algorithm>

namespace allreco::data {

namespace {

/// Each option as late as the next one allows: that is the latest place for the first.
std::optional<TextRange> in_order(std::string_view text, std::span<const std::string> options) {
  TextRange range{text.size(), 0};
  for (size_t left = options.size(); left > 0; --left) {
    const std::string& option = options[left - 1];
    if (option.size() > range.begin) return std::nullopt;
    const size_t place = text.rfind(option, range.begin - option.size());
    if (place == std::string_view::npos) return std::nullopt;
    if (left == options.size()) range.end = place + option.size();
    range.begin = place;
  }
  return range;
}

}  // namespace

std::optional<TextRange> find_shown_options(std::string_view text, std::span<const std::string> options) {
  if (options.empty()) return std::nullopt;
  if (const auto range = in_order(text, options)) return range;
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
