#include "report/table.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/check.h"

namespace allreco::report {
namespace {

Table sample() {
  Table table{.id = "sample",
              .caption = "A <caption>",
              .columns = {{"name", "name"},
                          {"value", "value", Format::percent},
                          Column::interval("interval", "95 %", Format::percent),
                          {"hidden", "", Format::count},
                          {"picture", "picture", Format::graphic}}};
  table.add({std::string("plain"), 0.372, eval::Interval{0.25, 0.5}, std::int64_t{1234}, core::html("<svg/>")});
  table.add({std::string("a,\"b\"\n\x1b"), Cell(), Cell(), Cell(), Cell()});
  table.add({std::string("=1+1"), 1.0 / 3, Cell(), std::int64_t{-7}, Cell()});
  return table;
}

TEST(Table, CsvHasEveryValueAndNoPicture) {
  EXPECT_EQ(csv_of(sample()),
            "name,value,interval_low,interval_high,hidden\n"
            "plain,0.372,0.25,0.5,1234\n"
            "\"a,\"\"b\"\"\\n\\x1b\",,,,\n"
            "'=1+1,0.3333333333333333,,,-7\n");
}

// Whoever reads the files of several reports finds the same columns in each.
TEST(Table, CsvHasTheSameHeaderWhateverTheRowsHold) {
  Table table = sample();
  for (auto& row : table.rows) row[2] = Cell();
  EXPECT_EQ(csv_of(table).substr(0, 45), "name,value,interval_low,interval_high,hidden\n");
  EXPECT_NE(csv_of(table).find("plain,0.372,,,1234\n"), std::string::npos) << csv_of(table);
  table.rows.clear();
  EXPECT_EQ(csv_of(table), "name,value,interval_low,interval_high,hidden\n");
}

TEST(Table, AnIntervalStandsInAColumnOfIntervalsAlone) {
  Table table = sample();
  EXPECT_THROW(table.add({std::string(), eval::Interval{}, Cell(), Cell(), Cell()}), core::Fault);
  EXPECT_THROW(table.add({std::string(), Cell(), 0.5, Cell(), Cell()}), core::Fault);
}

TEST(Table, JsonHasTheSame) {
  const core::Json json = json_of(sample());
  ASSERT_EQ(json.size(), 3u);
  EXPECT_EQ(json[0].dump(), R"({"name":"plain","value":0.372,"interval":[0.25,0.5],"hidden":1234})");
  EXPECT_TRUE(json[1]["value"].is_null());
  EXPECT_EQ(json[1]["name"], "a,\"b\"\n\x1b");
}

TEST(Table, PageEscapesTextsAndLeavesOutHiddenColumns) {
  const std::string page = html_of(sample()).code();
  EXPECT_NE(page.find("<caption>A &lt;caption&gt;</caption>"), std::string::npos) << page;
  EXPECT_NE(page.find("<td class=\"n\">37.2 %</td><td class=\"n\">[25.0, 50.0]</td><td class=\"t\"><svg/></td>"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("a,&quot;b&quot;\\n\\x1b"), std::string::npos) << page;
  EXPECT_EQ(page.find("1,234"), std::string::npos) << page;
}

TEST(Table, TheCsvHasTheRowsThatThePageLeavesOut) {
  Table table{.id = "long", .caption = "", .columns = {{"n", "n", Format::count}}};
  for (std::int64_t i = 0; i < 250; ++i) table.add({i});
  const std::string page = html_of(table).code();
  EXPECT_NE(page.find("50 more rows are in the csv file"), std::string::npos);
  EXPECT_EQ(page.find("<td class=\"n\">200</td>"), std::string::npos);
  EXPECT_NE(csv_of(table).find("\n249\n"), std::string::npos);
}

TEST(Table, NumbersForPeople) {
  EXPECT_EQ(shown_count(0), "0");
  EXPECT_EQ(shown_count(999), "999");
  EXPECT_EQ(shown_count(-1234567), "-1,234,567");
  EXPECT_EQ(shown_count(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(shown_number(1.08900), "1.089");
  EXPECT_EQ(shown_number(134515.4), "134,515");
  EXPECT_EQ(shown_number(9e-6), "9e-06");
  EXPECT_EQ(shown_percent(0.3717), "37.2 %");
  EXPECT_EQ(shown_duration(0.25), "250 ms");
  EXPECT_EQ(shown_duration(48), "48 s");
  EXPECT_EQ(shown_duration(1800), "30 min");
  EXPECT_EQ(shown_duration(9000), "2.5 h");
  EXPECT_EQ(shown_bytes(240e6), "240 MB");
  EXPECT_EQ(shown_bytes(999.7e6), "1 GB");
  EXPECT_EQ(shown(std::string("0123456789abcdef"), Format::hash), "0123456789ab");
}

}  // namespace
}  // namespace allreco::report
