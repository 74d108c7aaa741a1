// Slices, mistakes and kinds of generation errors by hand.
#include "eval/error_analysis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/small_world.h"
#include "support/temporary_directory.h"

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

// What the data's answer has in another form than its item's title: the model said the right thing otherwise.
TEST(GenerationErrors, TheRightItemsTitleIsNoOtherOption) {
  const std::vector<data::Item> catalogue{{0, "", "Green Tea Bags, 40 Count, in a Tin Box", 0, {}},
                                          {1, "", "Oat Bars", 0, {}}};
  EvalExample example;
  example.candidates = {0, 1};
  example.target = 0;
  const std::vector<EvalExample> examples(2, example);
  const GenerationErrors errors =
      generation_errors(examples, {catalogue[0].title, "Oat Bars"}, {"Green Tea Bags", "Green Tea Bags"}, catalogue);
  EXPECT_EQ(errors.near_copy, 1);
  EXPECT_EQ(errors.another_option, 1);
}

/// Examples over the small catalogue, whose items 3 and 7 have the same title, with chosen candidates.
struct AnalysisWorld {
  support::TemporaryDirectory scratch;
  data::Dataset dataset{testing::write_small_dataset(scratch / "data", 12), "test"};
  Measured measured;
  TrainSequences train;

  AnalysisWorld() {
    measured.catalogue = testing::small_catalogue();
    train.purchases.assign(measured.catalogue.size(), 0);
  }
  /// `chosen` is the likelier of the two.
  void add(std::uint32_t right, std::uint32_t wrong, std::uint32_t chosen) {
    EvalExample example;
    example.index = std::ssize(measured.examples);
    example.target = right;
    example.candidates = {wrong, right};
    example.gold = 1;
    const bool ties = measured.catalogue[right].tokens == measured.catalogue[wrong].tokens;
    const auto score = [&](std::uint32_t item) { return ties || item == chosen ? -1.0 : -3.0; };
    measured.examples.push_back(example);
    measured.scores.push_back({{score(wrong), score(right)}, {1, 1}, {}});
  }
  ErrorAnalysis analyse() const { return *error_analysis(dataset, measured, {}, train, nullptr); }
  std::map<std::string, std::int64_t> sizes_of(const std::string& property) const {
    std::map<std::string, std::int64_t> sizes;
    for (const Slice& slice : analyse().slices)
      if (slice.property == property) sizes[slice.value] = slice.num_examples;
    return sizes;
  }
};

TEST(ErrorAnalysis, AFifthIsAFifth) {
  AnalysisWorld world;
  for (std::uint32_t item = 0; item < 10; ++item) {
    world.train.purchases[item] = item + 1;
    world.add(item, 11, item);
  }
  world.add(10, 11, 10);
  const std::map<std::string, std::int64_t> expected = {
      {"head: the most bought fifth", 2}, {"middle", 6}, {"tail: the least bought fifth", 2}, {"unseen in train", 1}};
  EXPECT_EQ(world.sizes_of("target_popularity"), expected);
}

TEST(ErrorAnalysis, ItemsAsRareAsTheLeastFifthBelongToIt) {
  AnalysisWorld world;
  for (std::uint32_t item = 0; item < 10; ++item) {
    world.train.purchases[item] = item < 4 ? 1 : item;
    world.add(item, 11, item);
  }
  const std::map<std::string, std::int64_t> expected = {
      {"head: the most bought fifth", 2}, {"middle", 4}, {"tail: the least bought fifth", 4}};
  EXPECT_EQ(world.sizes_of("target_popularity"), expected);
  world.train.purchases.assign(world.train.purchases.size(), 1);  // no item is bought more than another
  EXPECT_EQ(world.sizes_of("target_popularity"), (std::map<std::string, std::int64_t>{{"middle", 10}}));
}

TEST(ErrorAnalysis, CategoryAndBrandWhereTheyAreKnown) {
  AnalysisWorld world;
  world.measured.catalogue[0].category = world.measured.catalogue[1].category = "Tea";
  world.measured.catalogue[0].brand = world.measured.catalogue[2].brand = "Leaf";
  world.measured.catalogue[1].brand = "Mill";
  for (const std::uint32_t target : {0u, 1u, 4u}) {
    world.add(target, 11, target);
    world.measured.examples.back().history = {5, 2};
  }
  EXPECT_EQ(world.sizes_of("category"), (std::map<std::string, std::int64_t>{{"Tea", 2}}));
  EXPECT_EQ(world.sizes_of("brand"),
            (std::map<std::string, std::int64_t>{{"another", 1}, {"that of the last item", 1}}));
}

TEST(ErrorAnalysis, ASliceCostsItsShareOfWhatItLiesBelow) {
  AnalysisWorld world;
  world.train.purchases.assign(world.train.purchases.size(), 1);
  world.train.purchases[5] = 0;
  for (int i = 0; i < 3; ++i) world.add(0, 1, 0);
  world.add(5, 1, 1);
  const ErrorAnalysis analysis = world.analyse();
  EXPECT_EQ(analysis.metric, "accuracy");
  const auto unseen = std::find_if(analysis.slices.begin(), analysis.slices.end(),
                                   [](const Slice& slice) { return slice.value == "unseen in train"; });
  ASSERT_NE(unseen, analysis.slices.end());
  EXPECT_DOUBLE_EQ(unseen->metric.value, 0.0);
  EXPECT_DOUBLE_EQ(unseen->cost, 0.25 * 0.75);
  EXPECT_TRUE(std::is_sorted(analysis.slices.rbegin(), analysis.slices.rend(),
                             [](const Slice& a, const Slice& b) { return a.cost < b.cost; }));
}

TEST(ErrorAnalysis, EqualTitlesAreNotTakenForEachOther) {
  AnalysisWorld world;
  world.add(7, 3, 3);
  world.add(2, 1, 1);
  world.add(2, 1, 1);
  const ErrorAnalysis analysis = world.analyse();
  ASSERT_EQ(analysis.confusions.size(), 1u);
  EXPECT_EQ(analysis.confusions[0].chosen, world.measured.catalogue[1].title);
  EXPECT_EQ(analysis.confusions[0].count, 2);
  ASSERT_EQ(analysis.mistakes.size(), 2u);
  EXPECT_NEAR(analysis.mistakes[0].confidence, 1 / (1 + std::exp(-2.0)), 1e-15);  // of two scores that differ by 2
}

}  // namespace
}  // namespace allreco::eval
