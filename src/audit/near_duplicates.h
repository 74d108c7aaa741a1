// Near duplicates by MinHash (Broder 1997) with banding, each pair found checked exactly.
#pragma once
#include <cstdint>
#include <vector>

namespace allreco::audit {

using Shingles = std::vector<std::uint64_t>;  // sorted, each once

/// 20 bands of 5 hashes: a pair of Jaccard similarity s is found with probability 1 - (1 - s^5)^20, which is 0.9996 for
/// s = 0.8 (and 0.2 for 0.4, so that few pairs are checked in vain).
inline constexpr std::size_t kBands = 20, kRowsOfBand = 5;

/// Of each of `sets`, whether one of `others` has a Jaccard similarity of at least `threshold`. Empty sets have none.
std::vector<bool> has_near(const std::vector<Shingles>& sets, const std::vector<Shingles>& others, double threshold);

}  // namespace allreco::audit
