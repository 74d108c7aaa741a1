// Kinds of generation errors by hand.
#include "eval/error_analysis.h"

#include <gtest/gtest.h>

namespace allreco::eval {
namespace {

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
