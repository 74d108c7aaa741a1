#include "data/prepare/shoppers.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "data/prepare/histories.h"
#include "data/prepare/naive_history.h"
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

ReviewFile file_of(const std::vector<NaiveReview>& reviews) {
  ReviewFile file;
  std::map<std::string, std::uint32_t> reviewers;
  std::map<std::string, std::uint32_t> asins;
  const auto number = [](auto& numbers, std::vector<std::string>& texts, const std::string& text) {
    const auto [place, is_new] = numbers.try_emplace(text, static_cast<std::uint32_t>(texts.size()));
    if (is_new) texts.push_back(text);
    return place->second;
  };
  for (const NaiveReview& r : reviews) {
    file.reviews.push_back({number(reviewers, file.reviewers, r.reviewer), number(asins, file.asins, r.asin), r.time,
                            static_cast<float>(r.rating), r.verified});
  }
  return file;
}

/// Asins 0 to 17 have titles, two of them share each; 18 to 20 have unusable ones, the rest has no metadata.
Metadata some_metadata(std::map<std::string, std::string>& usable) {
  Metadata metadata;
  for (int i = 0; i < 18; ++i) {
    const std::string asin = fmt::format("A{:02}", i);
    usable[asin] = fmt::format("title {}", i / 2);
    metadata.titles[asin] = {usable[asin], TitleProblem::none, false};
  }
  metadata.titles["A18"] = {"", TitleProblem::missing, false};
  metadata.titles["A19"] = {"", TitleProblem::script, false};
  metadata.titles["A20"] = {"", TitleProblem::markup_only, false};
  return metadata;
}

void expect_equal(const Shoppers& a, const Shoppers& b) {
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

TEST(ShoppersTest, AgreesWithTheNaiveAccountInAnyOrderOfRows) {
  std::map<std::string, std::string> usable;
  const Metadata metadata = some_metadata(usable);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<NaiveReview> reviews = random_reviews(seed);
    const ReviewFilters filters{seed % 2 == 0 ? 3.0 : 0.0, seed % 3 == 0};
    const Shoppers shoppers = build_shoppers(file_of(reviews), metadata, filters);

    const auto purchases = naive_purchases(reviews, usable, filters.min_rating, filters.verified_only);
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
        if (r.reviewer == reviewer && usable.contains(r.asin)) bought.insert(usable.at(r.asin));
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
    expect_equal(shoppers, build_shoppers(file_of(reviews), metadata, filters));
  }
}

TEST(ShoppersTest, EqualTitlesHaveEqualIds) {
  std::map<std::string, std::string> usable;
  const Metadata metadata = some_metadata(usable);
  const Shoppers shoppers = build_shoppers(file_of(random_reviews(1)), metadata, {});
  ASSERT_EQ(shoppers.catalogue.size(), 18u);
  EXPECT_EQ(shoppers.num_title_ids, 9u);
  for (const CatalogueEntry& a : shoppers.catalogue) {
    for (const CatalogueEntry& b : shoppers.catalogue) EXPECT_EQ(a.title_id == b.title_id, a.title == b.title);
  }
}

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
  const ReviewFile file = read_reviews(path, 1.0);
  ASSERT_EQ(file.reviews.size(), 2u);
  EXPECT_TRUE(file.reviews[0].verified);
  EXPECT_FALSE(file.reviews[1].verified);
  EXPECT_EQ(file.reviews[0].timestamp, 1252800000);
  EXPECT_EQ(file.reviews[1].timestamp, 1251763200);  // date -u -d 2009-09-01 +%s
  EXPECT_EQ(file.lines["malformed"], 3);
  EXPECT_TRUE(contains(file.lines["first_malformed"][0]["reason"], "unixReviewTime"));
  EXPECT_TRUE(contains(file.lines["first_malformed"][1]["reason"], "overall"));
  EXPECT_TRUE(contains(file.lines["first_malformed"][2]["reason"], "reviewerID"));
  EXPECT_EQ(file.reviewers, (std::vector<std::string>{"R1"}));
  std::int64_t seconds = 0;
  for (const char* bad : {"", "09 13", "13 01, 2009", "02 30, 2009", "09 13, 2009x", "x 1, 2009"}) {
    EXPECT_FALSE(parse_review_time(bad, seconds)) << bad;
  }
}

TEST(ReviewsTest, NumbersThatNoReviewHasAreMalformed) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "reviews.json";
  std::string lines;
  const auto add = [&](const std::string& overall, const std::string& time) {
    lines += R"({"overall": )" + overall + R"(, "reviewerID": "R", "asin": "A", "unixReviewTime": )" + time + "}\n";
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
  overwrite(path, lines);
  const ReviewFile file = read_reviews(path, 1.0);
  ASSERT_EQ(file.reviews.size(), 3u);
  EXPECT_EQ(file.reviews[1].timestamp, 1252800000);
  EXPECT_EQ(file.reviews[2].timestamp, 1252800000);
  EXPECT_EQ(file.lines["malformed"], 12);
  for (size_t i = 0; i < times.size(); ++i)
    EXPECT_TRUE(contains(file.lines["first_malformed"][i]["reason"], times[i].second)) << times[i].first;
  EXPECT_TRUE(contains(file.lines["first_malformed"][8]["reason"], "overall is -7: ratings are 0 to 5"));
}

// An item that was reviewed unverified and later verified is bought when it is verified.
TEST(ShoppersTest, FiltersComeBeforeDuplicates) {
  std::map<std::string, std::string> usable;
  const Metadata metadata = some_metadata(usable);
  const ReviewFile file =
      file_of({{"R", "A00", 100, 5, false}, {"R", "A00", 200, 1, true}, {"R", "A00", 300, 5, true}});
  const Shoppers verified = build_shoppers(file, metadata, {0, true});
  ASSERT_EQ(verified.shoppers.size(), 1u);
  EXPECT_EQ(verified.shoppers[0].purchases[0].timestamp, 200);
  EXPECT_EQ(build_shoppers(file, metadata, {4, true}).shoppers[0].purchases[0].timestamp, 300);
  EXPECT_EQ(build_shoppers(file, metadata, {}).shoppers[0].purchases[0].timestamp, 100);
}

TEST(ReviewsTest, OtherFormsAreNamed) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "reviews.json";
  const auto refusal = [&](const std::string& text) {
    overwrite(path, text);
    return support::message_of([&] { read_reviews(path, 1.0); });
  };
  const std::string of_2023 = R"({"rating": 5.0, "user_id": "R", "parent_asin": "A", "timestamp": 1588687728923})";
  EXPECT_TRUE(contains(refusal("[" + of_2023 + "]\n"), "one JSON array"));
  EXPECT_TRUE(contains(refusal("{\n  \"overall\": 5\n}\n"), "over several lines"));
  EXPECT_TRUE(contains(refusal("userId,productId,score,time\nR,A,5.0,1588687728\n"), "looks like csv, but neither"));
  EXPECT_TRUE(contains(refusal("BZh91AY&SY"), "is bzip2 data"));
  overwrite(path, "asin,title,price\nA,Tea,3\n");
  EXPECT_TRUE(
      contains(support::message_of([&] { read_metadata(path, {"A"}, {.max_length = 200}, 0.5); }), "looks like csv"));
}

TEST(MetadataTest, KeepsTheFirstRowOfAnAsin) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "meta.json";
  overwrite(path, R"({"asin": "A1", "title": " First &amp; best", "price": ".a-box { color: red }", "rank": ["x"]})"
                  "\n"
                  R"({"asin": "A1", "title": "Second"})"
                  "\n"
                  R"({"asin": "A2"})"
                  "\n"
                  R"({"asin": "A3", "title": "not wanted"})"
                  "\n"
                  R"({"title": "no asin"})"
                  "\n");
  const Metadata metadata = read_metadata(path, {"A1", "A2", "A9"}, {.max_length = 200}, 0.5);
  ASSERT_EQ(metadata.titles.size(), 2u);
  EXPECT_EQ(metadata.titles.at("A1").text, "First & best");
  EXPECT_EQ(metadata.titles.at("A2").problem, TitleProblem::missing);
  EXPECT_EQ(metadata.num_repeated, 1);
  EXPECT_EQ(metadata.lines["malformed"], 1);
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
  const std::unordered_set<std::string> wanted{"A1", "A2", "A3", "A4", "A5", "A6"};
  const Metadata metadata = read_metadata(path, wanted, {.max_length = 29, .describe_untitled = true}, 0);
  EXPECT_EQ(metadata.titles.at("A1").text, "Hearst & Co, Art now (A1)");
  EXPECT_EQ(metadata.titles.at("A2").text, "Hearst (A2)");
  EXPECT_EQ(metadata.titles.at("A3").text, "Home (A3)");
  EXPECT_EQ(metadata.titles.at("A4").text, "A4");
  EXPECT_EQ(metadata.titles.at("A5").text, "A publisher with a long (A5)");
  EXPECT_EQ(metadata.titles.at("A6").text, "Good");
  EXPECT_EQ(metadata.num_described, 5);
  const Metadata dropped = read_metadata(path, wanted, {.max_length = 29}, 0);
  EXPECT_EQ(dropped.titles.at("A1").problem, TitleProblem::markup_only);
  EXPECT_EQ(dropped.num_described, 0);
}

}  // namespace allreco::data
