#include "core/edit_distance.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace allreco::core {

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const std::size_t more = limit + 1;
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit) return more;
  std::vector<std::size_t> row(b.size() + 1);  // distances of the first so many bytes of b to those of a so far
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char from : a) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (from == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
    if (*std::min_element(row.begin(), row.end()) > limit) return more;
  }
  return std::min(row.back(), more);
}

}  // namespace allreco::core
