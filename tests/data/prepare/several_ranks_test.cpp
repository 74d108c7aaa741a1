// Whole preparations on several ranks and with little memory: the same bytes as on one rank with all of it.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "core/random.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/prepare_on.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

const std::string kCards = ALLRECO_SOURCE_DIR "/examples/gift-cards/";

PrepareConfig config_of(const fs::path& output_dir) {
  PrepareConfig config;
  config.reviews = kCards + "reviews.json.gz";
  config.metadata = kCards + "metadata.json.gz";
  config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
  config.output_dir = output_dir.string();
  config.max_history = 2;
  config.num_candidates = 2;
  config.examples_per_shard = 300;
  return config;
}

}  // namespace

TEST(SeveralRanksTest, ByteForByteTheSameWithAnyNumberAndMemory) {
  const support::TemporaryDirectory scratch;
  const std::vector<std::function<void(PrepareConfig&)>> changes = {[](PrepareConfig&) {},
                                                                    [](PrepareConfig& c) { c.split = "random"; },
                                                                    [](PrepareConfig& c) {
                                                                      c.min_user_interactions = 6;
                                                                      c.min_item_interactions = 4;
                                                                      c.negatives = "popularity";
                                                                      c.split = "leave_last_two_out";
                                                                    }};
  int number = 0;
  for (const auto& change : changes) {
    std::map<std::string, std::string> expected;
    for (const auto& [ranks, limit] :
         std::vector<std::pair<int, std::uint64_t>>{{1, 0}, {1, 180'000}, {2, 0}, {5, 180'000}}) {
      PrepareConfig config = config_of(scratch.path() / std::to_string(number++));
      change(config);
      prepare_on(ranks, limit, config);
      const auto found = digests(config.output_dir);
      if (expected.empty()) expected = found;
      EXPECT_EQ(found, expected) << ranks << " ranks, " << limit << " bytes";
      EXPECT_GE(found.size(), 5u);
    }
  }
}

// A shopper with more than half of all examples is made by all ranks.
TEST(SeveralRanksTest, AShopperWithMostOfTheExamplesIsDivided) {
  const support::TemporaryDirectory scratch;
  core::RandomStream stream(core::key_of("one shopper"));
  std::string reviews, metadata;
  for (int item = 0; item < 400; ++item)
    metadata += Json{{"asin", fmt::format("A{:03}", item)}, {"title", fmt::format("title {}", item)}}.dump() + "\n";
  for (int row = 0; row < 900; ++row) {
    const std::string user = row < 300 ? "B" : fmt::format("{}{}", row % 2 == 0 ? "A" : "C", stream.next_below(100));
    reviews += Json{{"reviewerID", user},
                    {"asin", fmt::format("A{:03}", stream.next_below(400))},
                    {"overall", 5},
                    {"unixReviewTime", 86400 * stream.next_below(1000)}}
                   .dump() +
               "\n";
  }
  overwrite(scratch.path() / "reviews.json", reviews);
  overwrite(scratch.path() / "metadata.json", metadata);
  for (const char* which : {"all", "last"}) {
    std::map<std::string, std::string> expected;
    for (const int ranks : {1, 2, 7}) {
      PrepareConfig config = config_of(scratch.path() / fmt::format("{}-{}", which, ranks));
      config.reviews = scratch.path() / "reviews.json";
      config.metadata = scratch.path() / "metadata.json";
      config.examples_per_user = which;
      prepare_on(ranks, ranks == 7 ? 320'000 : 0, config);
      const auto found = digests(config.output_dir);
      if (expected.empty()) expected = found;
      EXPECT_EQ(found, expected) << ranks << " ranks, " << which;
    }
  }
}

TEST(SeveralRanksTest, AnErrorOfOneRankEndsAll) {
  const support::TemporaryDirectory scratch;
  PrepareConfig config = config_of(scratch.path() / "ds");
  config.max_length = 30;
  const std::string message = support::message_of([&] { prepare_on(3, 0, config); });
  EXPECT_TRUE(contains(message, "too_long")) << message;
  EXPECT_EQ(scratch.num_entries(), 0u);
}

TEST(SeveralRanksTest, TooLittleMemoryForTheItemsIsSaid) {
  const support::TemporaryDirectory scratch;
  const std::string message = support::message_of([&] { prepare_on(2, 20'000, config_of(scratch.path() / "ds")); });
  EXPECT_TRUE(contains(message, "give at least")) << message;
}

TEST(MemoryLimitTest, IsASizeWithAUnit) {
  EXPECT_EQ(parse_memory_limit("0"), 0u);
  EXPECT_EQ(parse_memory_limit("256MiB"), std::uint64_t{256} << 20);
  EXPECT_EQ(parse_memory_limit("1.5 GiB"), std::uint64_t{3} << 29);
  EXPECT_EQ(parse_memory_limit("2GB"), 2'000'000'000u);
  EXPECT_EQ(parse_memory_limit("100000000"), 100'000'000u);
  for (const char* bad : {"", "MiB", "-1GiB", "12 parsecs", "1e40", "nan", "inf", "1MiB", "256mib"})
    EXPECT_TRUE(contains(support::message_of([&] { parse_memory_limit(bad); }), "memory_limit = ")) << bad;
}

/// The definition, by removing one at a time for as long as there is one.
TEST(KCoreTest, IsWhatIsLeftWhenNothingMoreCanGo) {
  const support::TemporaryDirectory scratch;
  PrepareConfig config = config_of(scratch.path() / "ds");
  config.min_user_interactions = 7;
  config.min_item_interactions = 5;
  config.split = "leave_last_out";
  prepare_on(2, 0, config);
  const Json json = read_dataset_info(config.output_dir).json;

  std::map<std::string, std::string> titles;
  LineReader lines(config.metadata);
  for (std::string_view line; lines.next(line);) titles.try_emplace(Json::parse(line)["asin"], "title");
  NaivePurchases purchases = naive_purchases(naive_reviews(config.reviews), titles, 0, false);
  for (bool changed = true; changed;) {
    changed = std::erase_if(purchases, [](const auto& user) { return user.second.size() < 7; }) > 0;
    std::map<std::string, int> counts;
    for (const auto& [user, items] : purchases)
      for (const auto& [time, asin] : items) ++counts[asin];
    for (auto& [user, items] : purchases)
      changed = std::erase_if(items, [&](const auto& bought) { return counts[bought.second] < 5; }) > 0 || changed;
  }
  std::int64_t kept = 0;
  for (const auto& [user, items] : purchases) kept += std::ssize(items);
  EXPECT_GT(kept, 0);
  EXPECT_EQ(json["counts"]["reviews_kept"], kept);
  EXPECT_EQ(json["counts"]["shoppers_with_kept_reviews"], purchases.size());
  EXPECT_EQ(json["counts"]["k_core_rounds"].back()["shoppers_left"], purchases.size());
  EXPECT_EQ(json["counts"]["k_core_rounds"].back()["items_dropped"], 0);
  std::int64_t rows = kept;
  for (const auto& [reason, count] : json["counts"]["dropped"]["reviews"].items()) rows += count.get<std::int64_t>();
  EXPECT_EQ(rows, json["counts"]["review_rows"]);
}

class SplitsOfRanksTest : public ::testing::Test {
 protected:
  /// (user, timestamp) of the examples of each split.
  std::map<std::string, std::vector<std::pair<std::uint64_t, std::int64_t>>> targets(const PrepareConfig& config) {
    std::map<std::string, std::vector<std::pair<std::uint64_t, std::int64_t>>> all;
    for (const std::string split : {"train", "validation", "test"}) {
      if (!has_split(read_dataset_info(config.output_dir), split)) continue;
      const Dataset dataset(config.output_dir, split);
      for (std::int64_t i = 0; i < dataset.size(); ++i)
        all[split].emplace_back(*dataset.example(i).user, *dataset.example(i).timestamp);
    }
    return all;
  }
  support::TemporaryDirectory scratch_;
};

TEST_F(SplitsOfRanksTest, ByUserNoUserIsInTwo) {
  PrepareConfig config = config_of(scratch_.path() / "ds");
  config.split = "user";
  config.validation_share = 0.2;
  config.test_share = 0.3;
  prepare_on(2, 0, config);
  std::map<std::uint64_t, std::string> splits;
  std::map<std::string, int> users;
  for (const auto& [split, examples] : targets(config)) {
    for (const auto& [user, time] : examples) {
      users[split] += splits.try_emplace(user, split).second;
      EXPECT_EQ(splits[user], split);
    }
  }
  // Each of 458 users falls in a part with its share: within five standard deviations of a binomial count.
  const auto expect_near = [&](const char* split, double share) {
    const double n = static_cast<double>(splits.size());
    EXPECT_NEAR(users[split], n * share, 5 * std::sqrt(n * share * (1 - share))) << split;
  };
  expect_near("test", 0.3);
  expect_near("validation", 0.2);
  const Json json = read_dataset_info(config.output_dir).json;
  EXPECT_EQ(json["visibility"]["targets_in_histories_of_train"], (Json{{"validation", 0}, {"test", 0}}));
}

TEST_F(SplitsOfRanksTest, SplitTimePutsTargetsWhereItSays) {
  PrepareConfig config = config_of(scratch_.path() / "ds");
  config.split_time = "2016-01-01,2017-01-01";
  prepare_on(2, 0, config);
  const auto found = targets(config);
  for (const auto& [user, time] : found.at("train")) EXPECT_LT(time, 1451606400);
  for (const auto& [user, time] : found.at("validation")) EXPECT_TRUE(time >= 1451606400 && time < 1483228800);
  for (const auto& [user, time] : found.at("test")) EXPECT_GE(time, 1483228800);
  EXPECT_EQ(found.at("train").size() + found.at("validation").size() + found.at("test").size(), 1133u);
}

TEST_F(SplitsOfRanksTest, LastExamplesAreTheNewestOfEachSplit) {
  PrepareConfig all = config_of(scratch_.path() / "all"), last = config_of(scratch_.path() / "last");
  last.examples_per_user = "last";
  prepare_on(1, 0, all);
  prepare_on(3, 0, last);
  const auto every = targets(all), found = targets(last);
  for (const auto& [split, examples] : every) {
    std::vector<std::pair<std::uint64_t, std::int64_t>> expected;  // examples of a user stand together, in time order
    for (std::size_t i = 0; i < examples.size(); ++i)
      if (i + 1 == examples.size() || examples[i + 1].first != examples[i].first) expected.push_back(examples[i]);
    EXPECT_EQ(found.at(split), expected) << split;
    EXPECT_LT(expected.size(), examples.size());
  }
}

/// What a random split shows to training, counted from the dataset alone.
TEST_F(SplitsOfRanksTest, VisibleTargetsAreCounted) {
  PrepareConfig config = config_of(scratch_.path() / "ds");
  config.split = "random";
  prepare_on(2, 0, config);
  std::map<std::uint64_t, std::set<std::uint32_t>> shown;
  const Dataset train(config.output_dir, "train"), test(config.output_dir, "test");
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const Example example = train.example(i);
    shown[*example.user].insert(example.history.begin(), example.history.end());
  }
  std::int64_t visible = 0;
  for (std::int64_t i = 0; i < test.size(); ++i)
    visible += shown[*test.example(i).user].contains(*test.example(i).target);
  const Json json = read_dataset_info(config.output_dir).json;
  EXPECT_GT(visible, 0);
  EXPECT_EQ(json["visibility"]["targets_in_histories_of_train"]["test"], visible);
}

}  // namespace allreco::data
