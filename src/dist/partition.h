// Partition arithmetic: which part of a sequence of items belongs to which rank.
#pragma once
#include <cstdint>

namespace allreco::dist {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// The `part`-th of `parts` contiguous ranges that cover [0, count) and differ in size by at most one, larger ones
/// first. Ranges may be empty. REQUIRES count >= 0 and 0 <= part < parts.
Range part_of(std::int64_t count, std::int64_t part, std::int64_t parts);

}  // namespace allreco::dist
