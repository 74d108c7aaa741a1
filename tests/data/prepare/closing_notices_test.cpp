#include "data/prepare/closing_notices.h"

#include <gtest/gtest.h>

#include "data/store/dataset_samples.h"

namespace allreco::data {
using core::Json;

TEST(ClosingNoticesTest, NameAFilterThatTookNearlyAll) {
  Json reviews = {{"counts",
                   {{"review_rows", 1000},
                    {"reviews_kept", 200},
                    {"examples_possible", 500},
                    {"dropped",
                     {{"malformed_lines", 10},
                      {"reviews", {{"not_verified", 989}, {"title_script", 11}}},
                      {"shoppers", {{"shoppers_with_too_few_purchases", 400}, {"their_reviews", 197}}},
                      {"examples", {{"too_long", 494}, {"too_few_negatives", 0}}}}}}}};
  EXPECT_TRUE(closing_notices(reviews).empty());
  Json& dropped = reviews["counts"]["dropped"];
  dropped["reviews"]["not_verified"] = 990;
  dropped["shoppers"]["their_reviews"] = 198;
  dropped["examples"]["too_long"] = 495;
  const auto notices = closing_notices(reviews);
  ASSERT_EQ(notices.size(), 3u);
  EXPECT_TRUE(contains(notices[0], "99.0 % of the reviews (990 of 1000)") && contains(notices[0], "not_verified"));
  EXPECT_TRUE(contains(notices[1], "495 of 500") && contains(notices[1], "too_long"));
  EXPECT_TRUE(contains(notices[2], "198 of 200") && contains(notices[2], "min_history"));
  const Json prompts = {{"counts", {{"rows", 200}, {"dropped", {{"malformed_lines", 0}, {"empty_output", 198}}}}}};
  ASSERT_EQ(closing_notices(prompts).size(), 1u);
  EXPECT_TRUE(closing_notices(Json::object()).empty());
}

TEST(ClosingNoticesTest, NameASplitOfTies) {
  const Json json = {{"share_of_targets_tied_with_last_item", {{"train", 0.5}, {"validation", 0.98}, {"test", 1.0}}}};
  const auto notices = closing_notices(json);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_TRUE(contains(notices[0], "100.0 % of the test targets"));
}

}  // namespace allreco::data
