// Kinds of generation errors by hand, and edit distances against the plain recursion.
#include "eval/error_analysis.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace allreco::eval {
namespace {

std::int64_t recursive_distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return std::ssize(a) + std::ssize(b);
  if (a[0] == b[0]) return recursive_distance(a.substr(1), b.substr(1));
  return 1 + std::min({recursive_distance(a.substr(1), b), recursive_distance(a, b.substr(1)),
                       recursive_distance(a.substr(1), b.substr(1))});
}

TEST(GenerationErrors, EditDistanceIsThatOfTheRecursion) {
  core::RandomStream stream(3);
  const auto word = [&] {
    std::string text;
    for (std::uint64_t length = stream.next_below(7); length > 0; --length)
      text.push_back(static_cast<char>('a' + stream.next_below(3)));
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    const std::string a = word(), b = word();
    const std::int64_t expected = recursive_distance(a, b);
    EXPECT_EQ(edit_distance(a, b, 10), expected) << a << " " << b;
    EXPECT_EQ(edit_distance(a, b, 2), std::min<std::int64_t>(expected, 3)) << a << " " << b;
  }
}

TEST(GenerationErrors, EachAnswerIsOfTheFirstKindThatFits) {
  const std::vector<data::Item> catalogue{
      {0, "", "Green Tea Bags", 0, {}}, {1, "", "Green Tea Cups", 0, {}}, {2, "", "Oat Bars", 0, {}}};
  EvalExample example;
  example.candidates = {0, 2};
  const std::vector<EvalExample> examples(7, example);
  const std::vector<std::string> right(7, "Green Tea Bags");
  const GenerationErrors errors = generation_errors(
      examples, {"Green Tea Bags", "", "Oat Bars", "Green Tea Cups", "Green Tea Bag", "Gren Tee Bags", "Soap"}, right,
      catalogue);
  EXPECT_EQ(errors.empty, 1);
  EXPECT_EQ(errors.another_option, 1);
  EXPECT_EQ(errors.another_item, 1);
  EXPECT_EQ(errors.near_copy, 2);
  EXPECT_EQ(errors.not_in_catalogue, 1);
}

}  // namespace
}  // namespace allreco::eval
