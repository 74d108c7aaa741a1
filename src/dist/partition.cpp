#include "dist/partition.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::dist {

Range part_of(std::int64_t count, std::int64_t part, std::int64_t parts) {
  core::require(count >= 0 && parts > 0 && part >= 0 && part < parts, "part_of needs 0 <= part < parts and count >= 0");
  const std::int64_t size = count / parts;
  const std::int64_t num_larger = count % parts;
  const std::int64_t begin = part * size + std::min(part, num_larger);
  return {begin, begin + size + (part < num_larger ? 1 : 0)};
}

}  // namespace allreco::dist
