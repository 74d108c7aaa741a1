// Review and metadata files up to the shoppers, against the naive account of the same rows.
#include "data/prepare/shoppers/shoppers.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "data/input/metadata.h"
#include "data/input/reviews.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/shopper_pipeline.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {

namespace {

/// Few shoppers, items and days, so that every kind of duplicate and tie occurs.
std::vector<NaiveReview> random_reviews(std::uint64_t seed) {
  core::RandomStream stream(seed);
  std::vector<NaiveReview> reviews;
  for (int i = 0; i < 400; ++i) {
    reviews.push_back({fmt::format("R{}", stream.next_below(12)), fmt::format("A{:02}", stream.next_below(25)),
                       86400 * static_cast<std::int64_t>(stream.next_below(15)),
                       1.0 + static_cast<double>(stream.next_below(5)), stream.next_below(3) > 0});
  }
  return reviews;
}

/// Asins 0 to 17 have titles, two of them share each; 18 to 20 have unusable ones, the rest has no metadata.
std::string some_metadata(std::map<std::string, std::string>& usable) {
  std::string lines;
  const auto add = [&](int i, const std::string& title) {
    lines += core::Json{{"asin", fmt::format("A{:02}", i)}, {"title", title}}.dump() + "\n";
  };
  for (int i = 0; i < 18; ++i) add(i, usable[fmt::format("A{:02}", i)] = fmt::format("title {}", i / 2));
  add(18, "");
  add(19, "var aPageStart = (new Date()).getTime();");
  add(20, "<span class=\"a\"></span>");
  return lines;
}

void expect_equal(const TakenIn& a, const TakenIn& b) {
  ASSERT_EQ(a.shoppers.size(), b.shoppers.size());
  ASSERT_EQ(a.catalogue.size(), b.catalogue.size());
  for (size_t i = 0; i < a.shoppers.size(); ++i) {
    EXPECT_EQ(a.shoppers[i].user, b.shoppers[i].user);
    EXPECT_EQ(a.shoppers[i].bought_titles, b.shoppers[i].bought_titles);
    ASSERT_EQ(a.shoppers[i].purchases.size(), b.shoppers[i].purchases.size());
    for (size_t k = 0; k < a.shoppers[i].purchases.size(); ++k) {
      EXPECT_EQ(a.shoppers[i].purchases[k].item, b.shoppers[i].purchases[k].item);
      EXPECT_EQ(a.shoppers[i].purchases[k].timestamp, b.shoppers[i].purchases[k].timestamp);
    }
  }
  for (size_t i = 0; i < a.catalogue.size(); ++i) EXPECT_EQ(a.catalogue[i].asin, b.catalogue[i].asin);
}

}  // namespace

class ShoppersTest : public ::testing::Test {
 protected:
  ShoppersTest() { overwrite(file("metadata.json"), some_metadata(usable_)); }
  std::filesystem::path file(const char* name) const { return scratch_.path() / name; }
  TakenIn shoppers_of(const std::vector<NaiveReview>& reviews, const ReviewFilters& filters) const {
    std::string lines;
    for (const NaiveReview& review : reviews) lines += json_2018(review);
    overwrite(file("reviews.json"), lines);
    PrepareConfig config;
    config.reviews = file("reviews.json").string();
    config.metadata = file("metadata.json").string();
    config.min_rating = filters.min_rating;
    config.verified_only = filters.verified_only;
    return taken_in(config);
  }

  support::TemporaryDirectory scratch_;
  std::map<std::string, std::string> usable_;
};

TEST_F(ShoppersTest, AgreesWithTheNaiveAccountInAnyOrderOfRows) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<NaiveReview> reviews = random_reviews(seed);
    const ReviewFilters filters{seed % 2 == 0 ? 3.0 : 0.0, seed % 3 == 0};
    const TakenIn shoppers = shoppers_of(reviews, filters);

    const auto purchases = naive_purchases(reviews, usable_, filters.min_rating, filters.verified_only);
    ASSERT_EQ(shoppers.shoppers.size(), purchases.size());
    size_t i = 0;
    for (const auto& [reviewer, expected] : purchases) {
      const Shopper& shopper = shoppers.shoppers[i++];
      EXPECT_EQ(shopper.user, core::key_of(reviewer));
      std::vector<std::pair<std::int64_t, std::string>> found;
      for (const Purchase& p : shopper.purchases) found.push_back({p.timestamp, shoppers.catalogue[p.item].asin});
      EXPECT_EQ(found, (std::vector<std::pair<std::int64_t, std::string>>(expected.begin(), expected.end())));
      std::set<std::string> bought;  // of all rows, filtered out or not
      for (const NaiveReview& r : reviews) {
        if (r.reviewer == reviewer && usable_.contains(r.asin)) bought.insert(usable_.at(r.asin));
      }
      EXPECT_EQ(shopper.bought_titles.size(), bought.size());
    }

    const ReviewCounts& c = shoppers.counts;
    EXPECT_EQ(c.rows, 400);
    EXPECT_EQ(c.rows, c.duplicate_row + c.repeated_item + c.no_metadata + c.title_missing + c.title_script +
                          c.title_markup_only + c.below_min_rating + c.not_verified + c.kept);
    std::set<std::tuple<std::string, std::string, std::int64_t>> different_rows;
    std::set<std::pair<std::string, std::string>> different_pairs;
    std::int64_t num_passing = 0;
    for (const NaiveReview& r : reviews) {
      if (r.rating < filters.min_rating || (filters.verified_only && !r.verified)) continue;
      ++num_passing;
      different_rows.insert({r.reviewer, r.asin, r.time});
      different_pairs.insert({r.reviewer, r.asin});
    }
    EXPECT_EQ(c.duplicate_row, num_passing - static_cast<std::int64_t>(different_rows.size()));
    EXPECT_EQ(c.repeated_item, static_cast<std::int64_t>(different_rows.size() - different_pairs.size()));

    std::reverse(reviews.begin(), reviews.end());
    expect_equal(shoppers, shoppers_of(reviews, filters));
  }
}

TEST_F(ShoppersTest, EqualTitlesHaveEqualIds) {
  const TakenIn shoppers = shoppers_of(random_reviews(1), {});
  ASSERT_EQ(shoppers.catalogue.size(), 18u);
  EXPECT_EQ(shoppers.catalogue_counts["items_sharing_a_title"], 9);
  for (const CatalogueEntry& a : shoppers.catalogue) {
    for (const CatalogueEntry& b : shoppers.catalogue) EXPECT_EQ(a.title_id == b.title_id, a.title == b.title);
  }
}

namespace {

struct ReviewRows {
  std::vector<ReviewRow> rows;
  LineCounts lines;
};

ReviewRows review_rows(const std::filesystem::path& path) {
  ReviewReader reader({.path = path});
  ReviewRows result;
  for (ReviewRow row; reader.next(row);) result.rows.push_back(row);
  result.lines = reader.counts();
  return result;
}

std::vector<MetadataRow> metadata_rows(const std::filesystem::path& path, const TitleRules& rules) {
  MetadataReader reader({.path = path}, rules);
  std::vector<MetadataRow> rows;
  for (MetadataRow row; reader.next(row);) rows.push_back(row);
  return rows;
}

}  // namespace

TEST(ReviewsTest, ToleratesTheDirtOfTheRealFiles) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "reviews.json";
  overwrite(
      path,
      R"({"overall": 5.0, "verified": true, "reviewTime": "09 13, 2009", "reviewerID": "R1", "asin": "A1", "style": {"Size:": " 50"}, "unixReviewTime": 1252800000, "vote": "1,024", "image": ["x"]})"
      "\n"
      R"({"overall": 4, "reviewerID": "R1", "asin": "A2", "reviewTime": "9 1, 2009", "reviewerName": null})"
      "\n"
      R"({"overall": 4, "reviewerID": "R1", "asin": "A2"})"
      "\n"
      R"({"overall": "5", "reviewerID": "R1", "asin": "A2", "unixReviewTime": 1})"
      "\n"
      R"({"overall": 5, "reviewerID": "", "asin": "A2", "unixReviewTime": 1})"
      "\n");
  const auto [rows, lines] = review_rows(path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(rows[0].verified);
  EXPECT_FALSE(rows[1].verified);
  EXPECT_EQ(rows[0].time_ms, 1252800000'000);
  EXPECT_EQ(rows[1].time_ms, 1251763200'000);  // date -u -d 2009-09-01 +%s
  EXPECT_EQ(lines.malformed, 3);
  EXPECT_TRUE(contains(lines.first_malformed.at(0).reason, "unixReviewTime"));
  EXPECT_TRUE(contains(lines.first_malformed.at(1).reason, "overall"));
  EXPECT_TRUE(contains(lines.first_malformed.at(2).reason, "reviewerID"));
  std::int64_t seconds = 0;
  for (const char* bad : {"", "09 13", "13 01, 2009", "02 30, 2009", "09 13, 2009x", "x 1, 2009"}) {
    EXPECT_FALSE(parse_review_time(bad, seconds)) << bad;
  }
}

TEST(ReviewsTest, NumbersThatNoReviewHasAreMalformed) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "reviews.json";
  std::string text;
  const auto add = [&](const std::string& overall, const std::string& time) {
    text += R"({"overall": )" + overall + R"(, "reviewerID": "R", "asin": "A", "unixReviewTime": )" + time + "}\n";
  };
  add("5", "99999999999");  // in the year 5138
  add("5", "1252800000.0");
  add("0", "1.2528e9");
  const std::vector<std::pair<const char*, const char*>> times{{"100000000000", "not milliseconds"},
                                                               {"1252800000000", "not milliseconds"},
                                                               {"-62167219201", "before the year 0"},
                                                               {"9223372036854775807", "not milliseconds"},
                                                               {"18446744073709551615", "not milliseconds"},
                                                               {"1e300", "not milliseconds"},
                                                               {"1.5", "whole number"},
                                                               {"\"1252800000\"", "whole number"}};
  for (const auto& [time, reason] : times) add("5", time);
  for (const char* rating : {"-7", "5.5", "1e39", "1e400"}) add(rating, "1");  // the last one is no double
  overwrite(path, text);
  const auto [rows, lines] = review_rows(path);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1].time_ms, 1252800000'000);
  EXPECT_EQ(rows[2].time_ms, 1252800000'000);
  EXPECT_EQ(lines.malformed, 12);
  for (size_t i = 0; i < times.size(); ++i)
    EXPECT_TRUE(contains(lines.first_malformed.at(i).reason, times[i].second)) << times[i].first;
  EXPECT_TRUE(contains(lines.first_malformed.at(8).reason, "overall is -7: ratings are 0 to 5"));
}

// An item that was reviewed unverified and later verified is bought when it is verified.
TEST_F(ShoppersTest, FiltersComeBeforeDuplicates) {
  const std::vector<NaiveReview> reviews{
      {"R", "A00", 100, 5, false}, {"R", "A00", 200, 1, true}, {"R", "A00", 300, 5, true}};
  const auto time_of = [&](const ReviewFilters& filters) {
    return shoppers_of(reviews, filters).shoppers.at(0).purchases.at(0).timestamp;
  };
  EXPECT_EQ(time_of({0, true}), 200);
  EXPECT_EQ(time_of({4, true}), 300);
  EXPECT_EQ(time_of({}), 100);
}

// Of repeated rows of an item the first counts.
TEST_F(ShoppersTest, TheFirstMetadataRowOfAnItemCounts) {
  overwrite(file("metadata.json"),
            R"({"asin": "A1", "title": " First &amp; best", "price": ".a-box { color: red }", "rank": ["x"]})"
            "\n"
            R"({"asin": "A1", "title": "Second"})"
            "\n"
            R"({"asin": "A2"})"
            "\n"
            R"({"asin": "A3", "title": "not wanted"})"
            "\n");
  const TakenIn shoppers = shoppers_of({{"R", "A1", 1, 5, true}, {"R", "A2", 2, 5, true}, {"R", "A9", 3, 5, true}}, {});
  ASSERT_EQ(shoppers.catalogue.size(), 1u);
  EXPECT_EQ(shoppers.catalogue[0].title, "First & best");
  EXPECT_EQ(shoppers.counts.title_missing, 1);
  EXPECT_EQ(shoppers.counts.no_metadata, 1);
  EXPECT_EQ(shoppers.catalogue_counts["metadata_rows_repeated"], 1);
}

TEST(ReviewsTest, OtherFormsAreNamed) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "reviews.json";
  const auto refusal = [&](const std::string& text) {
    overwrite(path, text);
    return support::message_of([&] { review_rows(path); });
  };
  const std::string of_2023 = R"({"rating": 5.0, "user_id": "R", "parent_asin": "A", "timestamp": 1588687728923})";
  EXPECT_TRUE(contains(refusal("[" + of_2023 + "]\n"), "one JSON array"));
  EXPECT_TRUE(contains(refusal("{\n  \"overall\": 5\n}\n"), "over several lines"));
  EXPECT_TRUE(contains(refusal("userId,productId,score,time\nR,A,5.0,1588687728\n"), "looks like csv, but neither"));
  EXPECT_TRUE(contains(refusal("BZh91AY&SY"), "is bzip2 data"));
  overwrite(path, "asin,title,price\nA,Tea,3\n");
  EXPECT_TRUE(contains(support::message_of([&] { metadata_rows(path, {.max_length = 200}); }), "looks like csv"));
}

TEST(MetadataTest, DescribesItemsWithoutUsableTitleWhereAsked) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "meta.json";
  const std::string row_start = R"({"title": "<span class=\"a-size-medium", "asin": )";
  overwrite(path, row_start +
                      R"("A1", "brand": "Hearst &amp; Co", "category": ["Magazines", "Home", "Art <b>now</b>"]})"
                      "\n" +
                      row_start +
                      R"("A2", "brand": "Hearst"})"
                      "\n" +
                      row_start +
                      R"("A3", "brand": null, "category": ["Home"]})"
                      "\n" +
                      row_start +
                      R"("A4", "category": [], "brand": 7})"
                      "\n" +
                      row_start +
                      R"("A5", "category": "Home", "brand": "A publisher with a long name indeed"})"
                      "\n" +
                      R"({"asin": "A6", "title": "Good", "brand": "B", "category": ["C"]})"
                      "\n");
  const std::vector<MetadataRow> rows = metadata_rows(path, {.max_length = 29, .describe_untitled = true});
  const std::vector<std::string> titles{"Hearst & Co, Art now (A1)",    "Hearst (A2)", "Home (A3)", "A4",
                                        "A publisher with a long (A5)", "Good"};
  ASSERT_EQ(rows.size(), titles.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].title.text, titles[i]);
    EXPECT_EQ(rows[i].is_described, i < 5);
  }
  const std::vector<MetadataRow> dropped = metadata_rows(path, {.max_length = 29});
  EXPECT_EQ(dropped[0].title.problem, TitleProblem::markup_only);
  EXPECT_FALSE(dropped[0].is_described);
}

}  // namespace allreco::data
