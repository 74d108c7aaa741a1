// How far two texts are apart.
#pragma once
#include <cstddef>
#include <string_view>

namespace allreco::core {

/// How many bytes must be inserted, removed or changed to make one text of the other (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace allreco::core
