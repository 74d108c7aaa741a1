// Rows of JSON lines as ranks read them.
#include "data/prepare/rows/row_reading.h"

#include <gtest/gtest.h>

#include "data/prepare/text_files.h"
#include "data/prepare/thread_ranks.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

struct RowsRead {
  std::vector<std::int64_t> numbers;  // the field n of the rows that were taken, in order
  Json report;
};

/// On so many ranks of two threads. Rows with n = 5 are rejected after all.
RowsRead read_on(int size, const std::filesystem::path& path, double max_bad_share) {
  std::vector<RowsRead> of_ranks(static_cast<std::size_t>(size));
  on_thread_ranks(size, [&](PrepareRanks& ranks) {
    PrepareProgress progress(false);
    const PrepareContext context{ranks, 2, {0, path.parent_path()}, progress};
    RowReading reading(context, path, max_bad_share);
    RowsRead& mine = of_ranks[static_cast<std::size_t>(ranks.rank())];
    using Batch = std::vector<std::pair<std::int64_t, RowPlace>>;
    std::vector<std::pair<std::int64_t, RowPlace>> taken;
    reading.run<Batch>(
        [](const Json& row, RowPlace place, Batch& batch) -> std::string {
          if (!row.contains("n")) return "no n in it";
          batch.emplace_back(row["n"].get<std::int64_t>(), RowPlace::unpacked(place.packed()));
          return "";
        },
        [&](Batch& batch) { taken.insert(taken.end(), batch.begin(), batch.end()); });
    for (const auto& [n, place] : taken) {
      if (n == 5)
        reading.reject(place, "five");
      else
        mine.numbers.push_back(n);
    }
    mine.report = reading.report();
    for (const auto& [n, place] : taken)
      EXPECT_TRUE(n < 1000 || reading.line_number(place) == n) << n;  // from there on it is the line's number
  });
  RowsRead all;
  for (const RowsRead& of_rank : of_ranks)
    all.numbers.insert(all.numbers.end(), of_rank.numbers.begin(), of_rank.numbers.end());
  all.report = of_ranks[0].report;
  return all;
}

}  // namespace

class RowReadingTest : public ::testing::Test {
 protected:
  std::filesystem::path written(const std::string& name, const std::string& bytes) const {
    overwrite(scratch_.path() / name, bytes);
    return scratch_.path() / name;
  }
  support::TemporaryDirectory scratch_;
};

TEST_F(RowReadingTest, CountsMalformedLinesWithTheirNumbers) {
  const auto path =
      written("rows.jsonl", "{\"n\":1}\n\nnot json\n[1]\n{\"n\":2}\n{\"n\":3\n{'n': 4}\n{\"n\":5}\n{\"x\":\"\xff\"}");
  for (const int ranks : {1, 3}) {
    const RowsRead found = read_on(ranks, path, 0.75);
    EXPECT_EQ(found.numbers, (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(found.report["lines"], 8);  // the blank one does not count
    EXPECT_EQ(found.report["malformed"], 6);
    std::vector<int> numbers;
    for (const auto& bad : found.report["first_malformed"]) numbers.push_back(bad["line"]);
    EXPECT_EQ(numbers, (std::vector<int>{3, 4, 6, 7, 8, 9}));
    EXPECT_TRUE(contains(found.report["first_malformed"][3]["reason"], "Python"));
  }
}

// Some megabytes, so several parts; a line in eleven is malformed, and rows that are rejected late count with them.
TEST_F(RowReadingTest, AnyNumberOfRanksReadsTheSame) {
  std::string text;
  std::vector<std::int64_t> expected, malformed;
  const std::string padding(100, 'x');
  for (std::int64_t line = 1; line <= 30'000; ++line) {
    const bool is_bad = line % 11 == 0, is_late = line % 2500 == 7 || line == 5;
    if (is_bad)
      text += "{\"n\": " + padding + "\n";
    else
      text += fmt::format("{{\"n\": {}, \"x\": \"{}\"}}\n", is_late ? 5 : line, padding);
    if (is_bad || is_late)
      malformed.push_back(line);
    else
      expected.push_back(line);
  }
  const auto plain = written("rows.jsonl", text);
  const auto packed = scratch_.path() / "rows.jsonl.gz";
  write_gz(packed, text);
  for (const int ranks : {1, 2, 5}) {
    for (const auto& path : {plain, packed}) {
      const RowsRead found = read_on(ranks, path, 1);
      EXPECT_TRUE(found.numbers == expected) << ranks;
      EXPECT_EQ(found.report["lines"], 30'000);
      EXPECT_EQ(found.report["malformed"], malformed.size());
      const Json& first = found.report["first_malformed"];
      ASSERT_EQ(first.size(), 10u);
      for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(first[i]["line"], malformed[i]) << ranks;
    }
  }
}

TEST_F(RowReadingTest, TooManyMalformedLinesEndTheRun) {
  std::string text;
  for (int i = 0; i < 99; ++i) text += "{\"n\":0}\n";
  EXPECT_EQ(read_on(2, written("one", text + "oops\n"), 0.01).report["malformed"], 1);  // exactly the allowed share
  const std::string message = support::message_of([&] { read_on(2, written("two", text + "oops\nno\n"), 0.01); });
  EXPECT_TRUE(contains(message, "2 of 101 lines") && contains(message, "line 100") &&
              contains(message, "max_bad_line_share"))
      << message;
  // A file of another kind is not read to its end.
  std::string prose;
  for (int i = 0; i < 50'000; ++i) prose += "once upon a time\n";
  const std::string given_up = support::message_of([&] { read_on(1, written("prose", prose), 0.01); });
  EXPECT_TRUE(contains(given_up, "lines are malformed") && !contains(given_up, "50000")) << given_up;
}

TEST_F(RowReadingTest, RowsThatNestDeeplyAreMalformed) {
  const auto path = written("deep", "{\"a\":" + std::string(1 << 20, '[') + "\n{\"n\":1}\n");
  const RowsRead found = read_on(1, path, 1);
  EXPECT_EQ(found.numbers, std::vector<std::int64_t>{1});
  EXPECT_EQ(found.report["malformed"], 1);
}

}  // namespace allreco::data
