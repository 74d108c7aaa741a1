// The review files of 2018 and 2023 and ratings-only csv: the same reviews in each.
#include <gtest/gtest.h>

#include <map>

#include "data/input/metadata.h"
#include "data/input/reviews.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/prepare.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

const std::string kGiftCards = ALLRECO_SOURCE_DIR "/examples/gift-cards/";

/// The reviews of the example with times within their days, as only 2023's dialect has them, if asked for.
std::vector<NaiveReview> gift_cards() { return naive_reviews(kGiftCards + "reviews.json.gz"); }

std::string json_2023(const NaiveReview& r) {
  return Json{{"rating", r.rating},    {"title", "t"},
              {"text", "x \"y\""},     {"images", Json::array()},
              {"asin", "another"},     {"parent_asin", r.asin},
              {"user_id", r.reviewer}, {"timestamp", 1000 * r.time},
              {"helpful_vote", 0},     {"verified_purchase", r.verified}}
             .dump() +
         "\n";
}

std::string csv_2018(const NaiveReview& r) {
  return fmt::format("{},{},{},{}\n", r.asin, r.reviewer, r.rating, r.time);
}
std::string csv_2023(const NaiveReview& r) {
  return fmt::format("{},{},{},{}\n", r.reviewer, r.asin, r.rating, 1000 * r.time);
}
std::string benchmark_2023(const NaiveReview& r) {
  return fmt::format("\"{}\",{},{:.1f},{},A B C\n", r.reviewer, r.asin, r.rating, 1000 * r.time);
}

template <class Write>
std::string all(const std::vector<NaiveReview>& reviews, const Write& write, std::string text = "") {
  for (const NaiveReview& review : reviews) text += write(review);
  return text;
}

const std::string kHeader = "user_id,parent_asin,rating,timestamp\n";
const std::string kBenchmarkHeader = "user_id,parent_asin,rating,timestamp,history\r\n";

}  // namespace

class ReviewDialectsTest : public ::testing::Test {
 protected:
  std::string written(const std::string& name, const std::string& bytes) const {
    overwrite(scratch_.path() / name, bytes);
    return (scratch_.path() / name).string();
  }
  std::vector<ReviewRow> rows_of(const std::string& path, std::uint64_t part_bytes = kWholeFile) {
    std::vector<ReviewRow> rows;
    counts_ = {};
    for (const InputPart& part : input_parts({path}, part_bytes)) {
      ReviewReader reader(part);
      for (ReviewRow row; reader.next(row);) rows.push_back(row);
      counts_.append(reader.counts());
    }
    return rows;
  }
  void expect_rows(const std::vector<ReviewRow>& found, const std::vector<NaiveReview>& expected, bool with_verified) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].user, expected[i].reviewer);
      EXPECT_EQ(found[i].item, expected[i].asin);
      EXPECT_EQ(found[i].time_ms, 1000 * expected[i].time);
      EXPECT_EQ(static_cast<double>(found[i].rating), expected[i].rating);
      EXPECT_EQ(found[i].verified, with_verified && expected[i].verified);
    }
  }
  /// SHA-256 of the shards by name.
  std::map<std::string, std::string> shards_of(const std::string& reviews, const std::string& metadata,
                                               const std::string& name) {
    PrepareConfig c;
    c.reviews = reviews;
    c.metadata = metadata;
    c.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
    c.output_dir = (scratch_.path() / name).string();
    prepare(c, "");
    std::map<std::string, std::string> shards;
    for (const auto& entry : std::filesystem::directory_iterator(c.output_dir))
      if (entry.path().extension() == ".h5") shards[entry.path().filename()] = core::sha256_of_file(entry.path());
    EXPECT_EQ(shards.size(), 3u);
    return shards;
  }

  support::TemporaryDirectory scratch_;
  LineCounts counts_;
};

TEST_F(ReviewDialectsTest, ReadsTheSameReviewsInEveryDialectAndPart) {
  const std::vector<NaiveReview> reviews = gift_cards();
  ASSERT_EQ(reviews.size(), 2972u);
  const std::map<std::string, std::string> files{{"2018.json", all(reviews, json_2018)},
                                                 {"2023.jsonl", all(reviews, json_2023)},
                                                 {"2018.csv", all(reviews, csv_2018)},
                                                 {"2023.csv", all(reviews, csv_2023, "\xEF\xBB\xBF" + kHeader)},
                                                 {"5core.csv", all(reviews, benchmark_2023, "\n" + kBenchmarkHeader)}};
  for (const auto& [name, text] : files) {
    SCOPED_TRACE(name);
    const bool is_json = name.find(".json") != std::string::npos;
    const std::string path = written(name, text);
    expect_rows(rows_of(path), reviews, is_json);
    EXPECT_EQ(counts_.lines, 2972);
    EXPECT_EQ(counts_.malformed, 0);
    for (const std::uint64_t part_bytes : {1000, 8191}) expect_rows(rows_of(path, part_bytes), reviews, is_json);
    EXPECT_EQ(counts_.total_lines, static_cast<std::int64_t>(std::count(text.begin(), text.end(), '\n')));
    expect_rows(rows_of(written(name + ".zst", zstd_frame(text))), reviews, is_json);
    write_gz(scratch_.path() / (name + ".gz"), text);
    expect_rows(rows_of((scratch_.path() / (name + ".gz")).string()), reviews, is_json);
  }
}

TEST_F(ReviewDialectsTest, TheSameReviewsGiveTheSameExamples) {
  const std::vector<NaiveReview> reviews = gift_cards();
  const std::string metadata_2018 = kGiftCards + "metadata.json.gz";
  std::string metadata_2023;
  LineReader lines(metadata_2018);
  for (std::string line; lines.next(line);) {
    const Json row = Json::parse(line);
    metadata_2023 += Json{{"main_category", row.at("category").empty() ? Json() : row.at("category").back()},
                          {"title", row.at("title")},
                          {"price", nullptr},
                          {"store", row.value("brand", Json())},
                          {"categories", row.at("category")},
                          {"parent_asin", row.at("asin")},
                          {"bought_together", nullptr}}
                         .dump() +
                     "\n";
  }
  const std::string meta_path = written("metadata.jsonl.zst", zstd_frame(metadata_2023));
  const auto expected = shards_of(kGiftCards + "reviews.json.gz", metadata_2018, "expected");
  const std::string path_2023 = written("2023.jsonl", all(reviews, json_2023));
  EXPECT_EQ(shards_of(path_2023, meta_path, "2023"), expected);
  EXPECT_EQ(shards_of(path_2023, metadata_2018, "mixed"), expected);
  EXPECT_EQ(shards_of(written("2018.csv", all(reviews, csv_2018)), meta_path, "csv18"), expected);
  EXPECT_EQ(shards_of(written("2023.csv", all(reviews, csv_2023, kHeader)), meta_path, "csv23"), expected);
  // In three files of three dialects, in whatever order.
  const std::vector<NaiveReview> a(reviews.begin(), reviews.begin() + 1000),
      b(reviews.begin() + 1000, reviews.begin() + 2000), c(reviews.begin() + 2000, reviews.end());
  EXPECT_EQ(shards_of(written("c.csv", all(c, csv_2018)) + "," + written("a.jsonl", all(a, json_2023)) + "," +
                          written("b.json", all(b, json_2018)),
                      meta_path, "three"),
            expected);
  EXPECT_EQ(core::sha256_of_file(scratch_.path() / "2023" / "items.jsonl"),
            core::sha256_of_file(scratch_.path() / "expected" / "items.jsonl"));
  int num_of_file = 0;  // items whose row has no category have that of the file
  for (const Item& item : read_catalogue(read_dataset_info(scratch_.path() / "three"))) {
    EXPECT_TRUE(item.category == "Gift Cards" || item.category == "metadata") << item.category;
    num_of_file += item.category == "metadata" ? 1 : 0;
  }
  EXPECT_EQ(num_of_file, 2);
}

TEST_F(ReviewDialectsTest, CsvDoesNotTellWhatIsVerified) {
  PrepareConfig c;
  c.reviews = written("2018.csv", all(gift_cards(), csv_2018));
  c.metadata = kGiftCards + "metadata.json.gz";
  c.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
  c.output_dir = (scratch_.path() / "ds").string();
  c.verified_only = true;
  const std::string message = support::message_of([&] { prepare(c, ""); });
  EXPECT_TRUE(contains(message, "2018.csv") && contains(message, "verified_only")) << message;
}

TEST_F(ReviewDialectsTest, LinesThatAreNoReviewsAreMalformed) {
  const auto reasons = [&](const std::string& name, const std::string& text) {
    const size_t num_rows = rows_of(written(name, text)).size();
    EXPECT_EQ(static_cast<std::int64_t>(num_rows) + counts_.malformed, counts_.lines);
    std::vector<std::string> list;
    for (const BadLine& bad : counts_.first_malformed) list.push_back(bad.reason);
    return list;
  };
  const auto expect_all = [](const std::vector<std::string>& found, const std::vector<std::string>& parts) {
    ASSERT_EQ(found.size(), parts.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(contains(found[i], parts[i])) << found[i];
  };
  expect_all(
      reasons("2023.jsonl", R"({"user_id": "U", "parent_asin": "A", "rating": 5, "timestamp": 1588687728923})"
                            "\n"
                            R"({"user_id": "U", "parent_asin": "A", "rating": 5, "timestamp": 1588687728})"
                            "\n"
                            R"({"user_id": "U", "parent_asin": "A", "rating": 5, "timestamp": 1588687728923.5})"
                            "\n"
                            R"({"user_id": "U", "parent_asin": "A", "rating": 6, "timestamp": 1588687728923})"
                            "\n"
                            R"({"user_id": "U", "asin": "A", "rating": 5, "timestamp": 1588687728923})"
                            "\n"
                            R"({"parent_asin": "A", "rating": 5, "timestamp": 1588687728923})"
                            "\n"
                            R"({"user_id": "U", "parent_asin": "A", "rating": 5})"
                            "\n"
                            R"({"user_id": "U", "parent_asin": "A", "rating": 5, "timestamp": 100000000000000})"
                            "\n"),
      {"not seconds", "whole number", "0 to 5 stars", "no parent_asin", "no user_id", "whole number", "milliseconds"});
  expect_all(
      reasons(
          "2018.csv",
          "A,U,5.0,1588687728\nA,U,5.0\nA,,5.0,1588687728\n,U,5.0,1588687728\nA,U,x,1588687728\nA,U,5.0,1588687728923\n"
          "A,U,5.0,1588687728,\n\"A,U,5.0,1588687728\nA,\xff,5.0,1588687728\nA,U,nan,1\nA,U,5,\n"),
      {"3 values where 4", "user is empty", "item is empty", "no rating", "not milliseconds", "5 values",
       "quote is not closed", "not UTF-8", "no rating", "whole number"});
  expect_all(reasons("2023.csv", "rating,timestamp,parent_asin,user_id\n5,1588687728923,A,U\n5,1588687728,A,U\n"),
             {"not seconds"});
}

TEST_F(ReviewDialectsTest, MetadataOfBothYears) {
  const std::string path = written(
      "meta_All_Beauty.jsonl",
      R"({"parent_asin": "A", "title": "Tea &amp; more", "store": "Shop <b>x</b>", "price": 7, "main_category": "All Beauty", "categories": ["Beauty", "Tea"]})"
      "\n"
      R"({"parent_asin": "B", "title": "Tea", "store": null, "price": "from 1,007.50", "main_category": null, "categories": ["Beauty", "Green tea"]})"
      "\n"
      R"({"parent_asin": "C", "title": null, "price": null, "categories": []})"
      "\n"
      R"({"parent_asin": "", "title": "Tea"})"
      "\n"
      R"({"asin": "D", "title": "Tea", "brand": "Shop", "price": "$3.99 - $5.00", "category": ["Root"], "also_buy": ["A"]})"
      "\n"
      R"({"asin": "E", "title": "Tea", "price": ".a-box-inner{background-color:#fff}", "category": ["Root", "Teas", "Green"]})"
      "\n");
  MetadataReader reader({.path = path, .input = 3}, {.max_length = 100});
  std::vector<MetadataRow> rows;
  for (MetadataRow row; reader.next(row);) rows.push_back(row);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(reader.counts().malformed, 1);
  const auto facts = [&](size_t i) {
    return std::vector<std::string>{rows[i].item, rows[i].title.text, rows[i].brand, rows[i].category, rows[i].price};
  };
  using Facts = std::vector<std::string>;
  EXPECT_EQ(facts(0), (Facts{"A", "Tea & more", "Shop x", "All Beauty", "7.00"}));
  EXPECT_EQ(facts(1), (Facts{"B", "Tea", "", "Green tea", "1007.50"}));
  EXPECT_EQ(facts(2), (Facts{"C", "", "", "All_Beauty", ""}));
  EXPECT_EQ(facts(3), (Facts{"D", "Tea", "Shop", "All_Beauty", "3.99"}));
  EXPECT_EQ(facts(4), (Facts{"E", "Tea", "", "Green", ""}));
  EXPECT_EQ(rows[2].title.problem, TitleProblem::missing);
  EXPECT_EQ(rows[0].input, 3u);
  for (const char* no_price : {"", "$", "free", "$0.00", "1.2.3", "12.99USD", "$1e5", "-3"})
    EXPECT_EQ(price_of(no_price), "") << no_price;
}

}  // namespace allreco::data
