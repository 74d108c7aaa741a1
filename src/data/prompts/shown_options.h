// Where a prompt's text shows the options to choose from.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

struct TextRange {
  size_t begin = 0, end = 0;  // bytes
};

/// The last place at which all options stand in the given order without overlap (a history before it may hold the same
/// texts): one range an option; empty where there is no such place.
std::vector<TextRange> find_options_in_order(std::string_view text, std::span<const std::string> options);

/// From the first option's beginning to the last one's end, as find_options_in_order has them. Where they do not stand
/// in order, from the earliest to the latest of each one's last occurrence; none where none occurs.
std::optional<TextRange> find_shown_options(std::string_view text, std::span<const std::string> options);

}  // namespace allreco::data
