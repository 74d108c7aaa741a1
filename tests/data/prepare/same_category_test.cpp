// --negatives same_category, beside an independent recount of who could have been drawn.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/random.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/prepare_on.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr int kNumItems = 90;

std::string asin(std::uint64_t item) { return fmt::format("A{:02}", item); }
/// Some categories are small, and some titles stand in two.
std::string category(std::uint64_t item) { return fmt::format("C{}", item < 12 ? item / 3 : 4 + item % 3); }
std::string title(std::uint64_t item) { return fmt::format("title {}", item % 70); }

std::string some_metadata() {
  std::string text;
  for (int item = 0; item < kNumItems; ++item)
    text += Json{{"asin", asin(item)}, {"title", title(item)}, {"category", {"root", category(item)}}}.dump() + "\n";
  return text;
}

std::string some_reviews(std::vector<NaiveReview>& reviews) {
  core::RandomStream stream(core::key_of("reviews of categories"));
  std::string text;
  for (int i = 0; i < 1500; ++i) {
    const std::uint64_t item = stream.next_below(10) < 4 ? stream.next_below(12) : stream.next_below(kNumItems);
    reviews.push_back({fmt::format("R{}", stream.next_below(120)), asin(item),
                       86400 * static_cast<std::int64_t>(stream.next_below(40)), 5, true});
    const NaiveReview& r = reviews.back();
    text +=
        Json{{"reviewerID", r.reviewer}, {"asin", r.asin}, {"overall", 5}, {"unixReviewTime", r.time}}.dump() + "\n";
  }
  return text;
}

}  // namespace

TEST(SameCategoryTest, NegativesAreOfTheTargetsCategoryWhereThereAreEnough) {
  const support::TemporaryDirectory scratch;
  std::vector<NaiveReview> reviews;
  overwrite(scratch.path() / "reviews.json", some_reviews(reviews));
  overwrite(scratch.path() / "metadata.json", some_metadata());
  PrepareConfig config;
  config.reviews = scratch.path() / "reviews.json";
  config.metadata = scratch.path() / "metadata.json";
  config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
  config.output_dir = scratch.path() / "ds";
  config.negatives = "same_category";
  config.num_candidates = 5;
  config.max_history = 3;
  prepare_on(2, 0, config);

  const DatasetInfo info = read_dataset_info(config.output_dir);
  const auto items = read_catalogue(info);
  const std::int64_t validation_start = info.json["split_method"]["validation_start"];
  std::map<std::string, std::string> titles;
  for (std::uint64_t item = 0; item < kNumItems; ++item) titles[asin(item)] = title(item);
  std::map<std::uint64_t, std::set<std::string>> bought;  // titles, by user
  std::map<std::string, std::int64_t> first_times;        // of kept purchases, by asin
  for (const auto& [user, purchases] : naive_purchases(reviews, titles, 0, false))
    for (const auto& [time, item] : purchases) {
      bought[core::key_of(user)].insert(titles[item]);
      const auto first = first_times.try_emplace(item, time).first;
      first->second = std::min(first->second, time);
    }
  std::int64_t num_mixed = 0, num_examples = 0;
  for (const std::string split : {"train", "validation", "test"}) {
    const Dataset dataset(config.output_dir, split);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const Example example = dataset.example(i);
      const std::string& wanted = items[*example.target].category;
      std::set<std::string> free;  // titles of the category that could have been drawn
      for (const Item& item : items)
        if (item.category == wanted && !bought[*example.user].contains(item.title) &&
            (first_times[item.asin] < validation_start || first_times[item.asin] <= *example.timestamp))
          free.insert(item.title);
      std::size_t found = 0;
      for (const std::uint32_t candidate : example.candidates)
        found += candidate != *example.target && items[candidate].category == wanted;
      EXPECT_EQ(found, std::min<std::size_t>(4, free.size()));
      num_mixed += free.size() < 4;
      ++num_examples;
    }
  }
  EXPECT_EQ(info.json["counts"]["examples_with_other_categories"], num_mixed);
  EXPECT_GT(num_mixed, 50);
  EXPECT_GT(num_examples - num_mixed, 50);
}

TEST(SameCategoryTest, IsForReviewsAlone) {
  PrepareConfig config;
  config.sequences = config.items = "x";
  config.output_dir = config.tokenizer = "y";
  config.negatives = "same_category";
  EXPECT_TRUE(contains(support::message_of([&] { validate(config); }), "have no categories"));
  std::swap(config.sequences, config.prompts);
  config.items.clear();
  EXPECT_TRUE(contains(support::message_of([&] { validate(config); }), "options of prompts are given"));
}

}  // namespace allreco::data
