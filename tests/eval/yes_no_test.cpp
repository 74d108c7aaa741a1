#include "eval/yes_no.h"

#include <gtest/gtest.h>

namespace allreco::eval {
namespace {

std::vector<data::Item> yes_and_no() {
  return {{0, "", "No.", 0, {10, 4}}, {1, "", "Yes.", 0, {11, 4}}, {2, "", "Maybe", 0, {12}}};
}

struct Answers {
  std::vector<EvalExample> examples;
  std::vector<CandidateScores> scores;

  /// The options in any order; `log_odds` of Yes.
  void add(std::optional<std::uint64_t> user, bool yes_first, bool is_yes, double log_odds) {
    EvalExample example;
    example.user = user;
    example.candidates = yes_first ? std::vector<std::uint32_t>{1, 0} : std::vector<std::uint32_t>{0, 1};
    example.gold = yes_first == is_yes ? 0 : 1;
    examples.push_back(example);
    // The whole answers say the opposite: only the tokens that part them count.
    scores.push_back(
        {{0, 0}, {3, 3}, yes_first ? std::vector<double>{-1, -1 - log_odds} : std::vector<double>{-1 - log_odds, -1}});
  }
};

TEST(YesNo, AucOfTheOddsPooledAndPerUser) {
  Answers answers;
  answers.add(1, true, true, 2.0);
  answers.add(1, false, false, 1.0);  // user 1: right order, 1
  answers.add(2, false, true, -3.0);
  answers.add(2, true, false, -2.0);
  answers.add(2, true, false, -3.0);  // user 2: below one, equal to the other: 1/4
  answers.add(3, true, true, 0.0);    // user 3: Yes only
  answers.examples.emplace_back();    // without candidates
  answers.scores.emplace_back();
  const auto report = yes_no_report(answers.examples, answers.scores, yes_and_no());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->yes, "Yes.");
  EXPECT_EQ(report->num_examples, 6);
  EXPECT_EQ(report->num_yes, 3);
  // Yes 2, -3, 0 against No 1, -2, -3: 3 + (0 + 0 + 1/2) + (0 + 1 + 1) of 9.
  EXPECT_DOUBLE_EQ(*report->auc_pooled, 5.5 / 9);
  EXPECT_DOUBLE_EQ(*report->auc_per_user, (1 + 0.25) / 2);
  EXPECT_EQ(report->num_users_with_both, 2);
}

TEST(YesNo, IsOnlyAboutYesAndNo) {
  Answers answers;
  answers.add(std::nullopt, true, true, 2.0);
  auto report = yes_no_report(answers.examples, answers.scores, yes_and_no());
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->auc_pooled);  // no No
  EXPECT_FALSE(report->auc_per_user);
  std::vector<data::Item> catalogue = yes_and_no();
  catalogue[0].tokens = {11, 5};  // the same first token: they part at the second
  EXPECT_TRUE(yes_no_report(answers.examples, answers.scores, catalogue));
  catalogue[0].tokens = catalogue[1].tokens;
  EXPECT_FALSE(yes_no_report(answers.examples, answers.scores, catalogue));
  answers.examples.push_back(answers.examples.front());
  answers.examples.back().candidates = {1, 2};
  answers.scores.push_back(answers.scores.front());
  EXPECT_FALSE(yes_no_report(answers.examples, answers.scores, yes_and_no()));
  EXPECT_FALSE(yes_no_report({}, {}, yes_and_no()));
}

}  // namespace
}  // namespace allreco::eval
