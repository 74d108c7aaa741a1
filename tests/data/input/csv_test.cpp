#include "data/input/csv.h"

#include <gtest/gtest.h>

#include <string>

#include "core/random.h"

namespace allreco::data {

namespace {

std::vector<std::string> values_of(const std::string& line) {
  CsvLine csv;
  EXPECT_EQ(csv.parse(line), "") << line;
  return {csv.values().begin(), csv.values().end()};
}

/// As RFC 4180 writes a value.
std::string written(const std::string& value, bool always_quoted) {
  if (!always_quoted && value.find_first_of(",\"") == std::string::npos) return value;
  std::string text = "\"";
  for (const char c : value) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

}  // namespace

TEST(CsvTest, SplitsAtCommasOutsideQuotes) {
  using Values = std::vector<std::string>;
  EXPECT_EQ(values_of("a,b,5.0,12"), (Values{"a", "b", "5.0", "12"}));
  EXPECT_EQ(values_of(""), Values{""});
  EXPECT_EQ(values_of(","), (Values{"", ""}));
  EXPECT_EQ(values_of("\"a,b\",\"say \"\"x\"\"\",\"\",c"), (Values{"a,b", "say \"x\"", "", "c"}));
  EXPECT_EQ(values_of("a\"b,c"), (Values{"a\"b", "c"}));
  CsvLine csv;
  for (const char* bad : {"\"a", "a,\"b", "\"a\"b,c", "\"a\"\"", "\""}) EXPECT_NE(csv.parse(bad), "") << bad;
}

// A line of 64 MiB may be all commas: a view of each would be a GiB.
TEST(CsvTest, RefusesMoreValuesThanAnyRowHas) {
  CsvLine csv;
  EXPECT_EQ(csv.parse(std::string(999, ',')), "");
  EXPECT_EQ(csv.values().size(), 1000u);
  EXPECT_EQ(csv.parse(std::string(1000, ',')), "it has more than 1000 values");
  EXPECT_EQ(csv.parse(std::string(64 << 20, ',')), "it has more than 1000 values");
  EXPECT_LE(csv.values().capacity(), 2048u);
  EXPECT_NE(csv.parse(std::string(1 << 20, '"') + "x"), "");
}

TEST(CsvTest, ReadsWhatWasWritten) {
  const std::string alphabet = "ab,\" ;";
  core::RandomStream random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> values(1 + random.next_below(5));
    std::string line;
    for (std::string& value : values) {
      for (std::uint64_t n = random.next_below(6); n > 0; --n) value += alphabet[random.next_below(alphabet.size())];
      line += (&value == values.data() ? "" : ",") + written(value, random.next_below(2) == 0);
    }
    ASSERT_EQ(values_of(line), values) << line;
  }
}

}  // namespace allreco::data
