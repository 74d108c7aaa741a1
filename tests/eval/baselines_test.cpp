#include "eval/baselines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "eval/metrics.h"
#include "eval/small_world.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

std::map<std::string, CandidateBaseline> by_name(std::vector<CandidateBaseline> baselines) {
  std::map<std::string, CandidateBaseline> map;
  for (auto& baseline : baselines) map[baseline.name] = std::move(baseline);
  return map;
}

double accuracy_of(const CandidateBaseline& baseline, const EvalExample& eval_example) {
  std::vector<double> scores;
  scores = baseline.scores(eval_example);
  return hit_rate(ranks_of(scores, eval_example.gold), 1);
}

EvalExample example_with(std::vector<std::uint32_t> candidates, std::size_t gold,
                         std::optional<std::uint32_t> last_item) {
  EvalExample eval_example;
  eval_example.candidates = std::move(candidates);
  eval_example.gold = gold;
  eval_example.last_item = last_item;
  return eval_example;
}

TEST(Baselines, HandmadeCatalogue) {
  // characters: 9, 9, 12, 3; odd ones: 0, 2 (digits), 4 (é, -, two digits), 3
  const std::vector<data::Item> catalogue{{0, "", "Mint Tea.", 5, {}},
                                          {1, "", "Tea 12 is", 9, {}},
                                          {2, "", "Caf\xC3\xA9-Set 24", 9, {}},
                                          {3, "", "\xE2\x82\xAC\x35!", 0, {}}};
  EXPECT_EQ(num_characters(catalogue[2].title), 11);
  EXPECT_EQ(num_odd_characters(catalogue[2].title), 4);
  EXPECT_EQ(num_characters(catalogue[3].title), 3);
  EXPECT_EQ(num_odd_characters(catalogue[3].title), 3);
  EXPECT_EQ(num_odd_characters("Why? A.b"), 0);

  const std::vector<EvalExample> eval_examples{example_with({0, 1, 2, 3}, 1, 3),
                                               example_with({3, 2, 1, 0}, 3, std::nullopt), example_with({0, 1}, 0, 0)};
  const auto baselines = by_name(candidate_baselines(eval_examples, catalogue, {}));
  ASSERT_EQ(baselines.size(), 6u);
  const auto expect = [&](const char* name, double first, double second, double third) {
    EXPECT_DOUBLE_EQ(accuracy_of(baselines.at(name), eval_examples[0]), first) << name;
    EXPECT_DOUBLE_EQ(accuracy_of(baselines.at(name), eval_examples[1]), second) << name;
    EXPECT_DOUBLE_EQ(accuracy_of(baselines.at(name), eval_examples[2]), third) << name;
  };
  expect("chance", 0.25, 0.25, 0.5);
  expect("most_popular_candidate", 0.5, 0.0, 0.0);        // items 1 and 2 tie
  expect("unseen_in_train_else_popular", 0.0, 0.0, 0.0);  // item 3, where it is shown, else item 1
  const EvalExample target_is_new = example_with({0, 3}, 1, std::nullopt);
  EXPECT_EQ(accuracy_of(baselines.at("unseen_in_train_else_popular"), target_is_new), 1.0);
  EXPECT_EQ(accuracy_of(baselines.at("most_popular_candidate"), target_is_new), 0.0);
  expect("shortest_title", 0.0, 0.0, 0.5);  // item 3 is the shortest; items 0 and 1 tie
  expect("fewest_odd_characters", 0.0, 1.0, 1.0);
  expect("last_item_repeat", 0.0, 0.25, 1.0);  // unknown: chance
}

TEST(Baselines, SayWhyTheyDoNotApply) {
  const std::vector<data::Item> catalogue{{0, "", "a", 0, {}}, {1, "", "b", 0, {}}};
  const std::vector<EvalExample> eval_examples{example_with({0, 1}, 0, std::nullopt)};
  const auto baselines = by_name(candidate_baselines(eval_examples, catalogue, {}));
  EXPECT_TRUE(baselines.at("most_popular_candidate").not_applicable);
  EXPECT_TRUE(baselines.at("last_item_repeat").not_applicable);
  EXPECT_FALSE(baselines.at("shortest_title").not_applicable);
}

/// A title is found by the words of another one, whatever their script, case and the signs between them.
TEST(Baselines, TitlesOfOtherScriptsShareWords) {
  const std::vector<data::Item> catalogue{{0, "", "Caf\u00E9\u2014Bar", 0, {}},
                                          {1, "", "CAF\u00C9 Set", 0, {}},
                                          {2, "", "Mug \u2122", 0, {}},
                                          {3, "", "Card \u2122", 0, {}}};
  const EvalExample bought_first = example_with({}, 0, 0), bought_mug = example_with({}, 0, 2);
  for (const auto& score : {bm25_scores(catalogue), tf_idf_scores(catalogue)}) {
    std::vector<double> scores(catalogue.size());
    score(bought_first, scores);
    EXPECT_GT(scores[1], 0);
    EXPECT_EQ(scores[2], 0);
    score(bought_mug, scores);
    EXPECT_EQ(scores[3], 0) << "a sign is no word";
  }
}

TEST(Baselines, AnswersCountedByHand) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", 24);
  const data::Dataset test(directory, "test");
  const data::Dataset train(directory, "train");
  const auto catalogue = data::read_catalogue(test.info());
  const auto eval_examples = read_eval_examples(test, test.size(), {testing::kEos});
  const auto baselines = answer_baselines(test.info(), eval_examples, catalogue);
  ASSERT_EQ(baselines.size(), 3u);

  const auto same_title = [](std::uint32_t a, std::uint32_t b) {
    return a == b || (a == 3 && b == 7) || (a == 7 && b == 3);
  };
  std::map<std::uint32_t, int> counts;  // of titles in train, the twins under the lower id
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const auto target = *train.example(i).target;
    ++counts[target == 7 ? 3 : target];
  }
  int most = 0;
  for (const auto& [item, count] : counts) most = std::max(most, count);
  ASSERT_EQ(std::count_if(counts.begin(), counts.end(), [&](const auto& c) { return c.second == most; }), 1)
      << "pick examples without a tie";
  for (std::size_t i = 0; i < eval_examples.size(); ++i) {
    const auto target = *eval_examples[i].target;
    EXPECT_NEAR(baselines[0].correct[i], (target == 3 || target == 7 ? 2.0 : 1.0) / testing::kNumItems, 1e-15);
    EXPECT_EQ(baselines[1].correct[i], counts[target == 7 ? 3 : target] == most ? 1.0 : 0.0);
    EXPECT_EQ(baselines[2].correct[i], same_title(target, *eval_examples[i].last_item) ? 1.0 : 0.0);
  }
}

}  // namespace
}  // namespace allreco::eval
