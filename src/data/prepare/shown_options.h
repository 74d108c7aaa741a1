// Where a prompt's text shows the options to choose from.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace allreco::data {

struct TextRange {
  size_t begin = 0, end = 0;  // bytes
};

/// From the first option's beginning to the last one's end: the last place at which all of them stand in the given
/// order without overlap (a history before it may hold the same texts). Where they never do, from the earliest to the
/// latest of each one's last occurrence; none where none occurs.
std::optional<TextRange> find_shown_options(std::string_view text, std::span<const std::string> options);

}  // namespace allreco::data
