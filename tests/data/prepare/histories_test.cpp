#include "data/prepare/examples/histories.h"

#include <gtest/gtest.h>

#include "data/prepare/made_up_shoppers.h"

namespace allreco::data {

TEST(HistoriesTest, TheNewestPurchasesBeforeTheTarget) {
  const auto catalogue = catalogue_of(10, true);
  Shopper shopper = shopper_of(5, {0, 2, 4, 6, 1, 8}, catalogue);
  shopper.purchases[4].timestamp = shopper.purchases[3].timestamp;
  const auto example = [&](size_t place, std::int64_t max_history) {
    return example_at(shopper, place, catalogue, max_history);
  };
  const std::vector<std::vector<std::uint32_t>> histories = {{0, 2}, {0, 2, 4}, {2, 4, 6}, {4, 6, 1}};
  for (size_t i = 0; i < 4; ++i) {
    const HistoryExample found = example(i + 2, 3);
    EXPECT_EQ(found.history, histories[i]);
    EXPECT_EQ(found.target, shopper.purchases[i + 2].item);
    EXPECT_EQ(found.timestamp, shopper.purchases[i + 2].timestamp);
    EXPECT_EQ(found.user, 5u);
    EXPECT_EQ(found.tied_with_last, i == 2);
    EXPECT_FALSE(found.repeats_title);  // item 1 has the title of item 0, which is no longer shown
  }
  EXPECT_TRUE(example(4, 4).repeats_title);
}

}  // namespace allreco::data
