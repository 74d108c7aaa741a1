// How far two texts are apart.
#pragma once
#include <cstddef>
#include <limits>
#include <string_view>

namespace allreco::core {

inline constexpr std::size_t kAnyDistance = std::numeric_limits<std::size_t>::max() - 1;

/// How many bytes must be inserted, removed or changed to make one text of the other (Levenshtein). `limit` + 1 means
/// more than `limit`, which is found sooner.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit = kAnyDistance);

}  // namespace allreco::core
