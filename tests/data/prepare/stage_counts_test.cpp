// How many reviews, shoppers and items each stage of prepare keeps and why the others went, of both Amazon categories,
// beside a recount in maps and sets.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "data/prepare/naive_history.h"
#include "data/prepare/prepare.h"
#include "data/store/dataset.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace {

const std::string kGiftCards = ALLRECO_SOURCE_DIR "/examples/gift-cards/";
const std::string kMagazines = ALLRECO_SOURCE_DIR "/tests/fixtures/magazine-subscriptions/";

/// Anything but space outside of <...>; a tag that is never closed reaches to the end. The titles here hold no `<`
/// else.
bool has_text(const std::string& title) {
  bool in_tag = false;
  for (const char c : title) {
    if (c == '<') in_tag = true;
    if (!in_tag && c != ' ' && c != '\n' && c != '\t') return true;
    if (c == '>') in_tag = false;
  }
  return false;
}

struct Recount {
  std::int64_t rows = 0, duplicate_rows = 0, repeated_items = 0, no_metadata = 0, markup_only = 0, kept = 0;
  std::int64_t short_shoppers = 0, their_reviews = 0, examples = 0;
  std::set<std::string> items, unknown_items, untitled_items;
};

Recount recount(const std::string& files, bool describes) {
  std::map<std::string, std::string> titles;  // of an asin's first row
  LineReader lines(files + "metadata.json.gz");
  for (std::string line; lines.next(line);) {
    const core::Json row = core::Json::parse(line);
    titles.try_emplace(row["asin"], row["title"].get<std::string>());
  }
  Recount found;
  std::map<std::string, std::map<std::string, std::set<std::int64_t>>> times;  // by shopper and asin
  for (const NaiveReview& review : naive_reviews(files + "reviews.json.gz")) {
    ++found.rows;
    found.items.insert(review.asin);
    if (!times[review.reviewer][review.asin].insert(review.time).second) ++found.duplicate_rows;
  }
  for (const auto& [reviewer, bought] : times) {
    std::int64_t kept = 0;
    for (const auto& [asin, when] : bought) {
      found.repeated_items += std::ssize(when) - 1;
      const auto title = titles.find(asin);
      if (title == titles.end()) {
        ++found.no_metadata;
        found.unknown_items.insert(asin);
      } else if (!has_text(title->second) && !describes) {
        ++found.markup_only;
      } else {
        ++kept;
      }
      if (title != titles.end() && !has_text(title->second)) found.untitled_items.insert(asin);
    }
    found.kept += kept;
    found.examples += std::max<std::int64_t>(0, kept - 4);
    if (kept > 0 && kept <= 4) {
      ++found.short_shoppers;
      found.their_reviews += kept;
    }
  }
  return found;
}

PrepareConfig config_of(const std::string& files, const support::TemporaryDirectory& scratch) {
  PrepareConfig config;
  config.reviews = files + "reviews.json.gz";
  config.metadata = files + "metadata.json.gz";
  config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
  config.output_dir = (scratch / "ds").string();
  return config;
}

class StageCounts : public ::testing::TestWithParam<std::string> {};

TEST_P(StageCounts, AreThoseOfARecount) {
  const support::TemporaryDirectory scratch;
  PrepareConfig config = config_of(GetParam(), scratch);
  config.untitled_items = "describe";
  prepare(config, "");
  const core::Json counts = read_dataset_info(config.output_dir).json["counts"];
  const Recount expected = recount(GetParam(), true);
  EXPECT_EQ(counts["review_rows"], expected.rows);
  EXPECT_EQ(counts["reviews_kept"], expected.kept);
  const core::Json& reviews = counts["dropped"]["reviews"];
  EXPECT_EQ(reviews["duplicate_row"], expected.duplicate_rows);
  EXPECT_EQ(reviews["repeated_item"], expected.repeated_items);
  EXPECT_EQ(reviews["no_metadata"], expected.no_metadata);
  EXPECT_EQ(reviews["title_markup_only"], 0);
  EXPECT_EQ(counts["dropped"]["shoppers"]["shoppers_with_too_few_purchases"], expected.short_shoppers);
  EXPECT_EQ(counts["dropped"]["shoppers"]["their_reviews"], expected.their_reviews);
  EXPECT_EQ(counts["examples_possible"], expected.examples);
  EXPECT_EQ(counts["examples"], expected.examples);
  EXPECT_EQ(counts["items"]["items_reviewed"], expected.items.size());
  EXPECT_EQ(counts["items"]["items_without_metadata"], expected.unknown_items.size());
  EXPECT_EQ(counts["items"]["items_described"], expected.untitled_items.size());
}

INSTANTIATE_TEST_SUITE_P(Amazon2018, StageCounts, ::testing::Values(kGiftCards, kMagazines));

// All but three titles are markup: without descriptions nothing is left, and the error says why.
TEST(MagazineTitles, AreDroppedAsMarkup) {
  const support::TemporaryDirectory scratch;
  const std::string message = support::message_of([&] { prepare(config_of(kMagazines, scratch), ""); });
  const Recount expected = recount(kMagazines, false);
  for (const std::string& part :
       {fmt::format("duplicate_row {}", expected.duplicate_rows),
        fmt::format("repeated_item {}", expected.repeated_items), fmt::format("no_metadata {}", expected.no_metadata),
        fmt::format("title_markup_only {}", expected.markup_only),
        fmt::format("shoppers_with_too_few_purchases {}", expected.short_shoppers),
        fmt::format("their_reviews {}", expected.their_reviews)})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  EXPECT_EQ(expected.untitled_items.size(), 148u);
}

}  // namespace
}  // namespace allreco::data
