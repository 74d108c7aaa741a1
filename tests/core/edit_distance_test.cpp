// Edit distances against the plain recursion.
#include "core/edit_distance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/random.h"

namespace allreco::core {
namespace {

std::size_t recursive_distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  if (a[0] == b[0]) return recursive_distance(a.substr(1), b.substr(1));
  return 1 + std::min({recursive_distance(a.substr(1), b), recursive_distance(a, b.substr(1)),
                       recursive_distance(a.substr(1), b.substr(1))});
}

TEST(EditDistance, IsThatOfTheRecursion) {
  RandomStream stream(3);
  const auto word = [&] {
    std::string text;
    for (std::uint64_t length = stream.next_below(7); length > 0; --length)
      text.push_back(static_cast<char>('a' + stream.next_below(3)));
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    const std::string a = word(), b = word();
    const std::size_t expected = recursive_distance(a, b);
    EXPECT_EQ(edit_distance(a, b), expected) << a << " " << b;
    for (const std::size_t limit : {0U, 1U, 2U, 6U})
      EXPECT_EQ(edit_distance(a, b, limit), std::min(expected, limit + 1)) << a << " " << b << " " << limit;
  }
}

}  // namespace
}  // namespace allreco::core
