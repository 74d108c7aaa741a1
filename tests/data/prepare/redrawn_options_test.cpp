#include "data/prepare/rows/redrawn_options.h"

#include <gtest/gtest.h>

#include <set>

#include "core/random.h"

namespace allreco::data {
namespace {

const std::string kFrame = "Bought Tea 3, Soap 1. Next?  ";

std::string shown(const std::vector<std::string>& options) {
  return "A) " + options[0] + ", B) " + options[1] + ", C) " + options[2] + ".";
}

ParsedRow row_of(const std::vector<std::string>& options, std::uint8_t gold) {
  ParsedRow row;
  row.options = options;
  row.gold = gold;
  row.text = {kFrame + shown(options), "", options[gold]};
  return row;
}

TEST(RedrawnOptions, ComeFromOtherRowsOutputsAndStandWhereTheOldOnesDid) {
  core::RandomStream stream(core::key_of("rows"));
  std::vector<ParsedRow> rows;
  std::vector<Split> splits;
  std::set<std::string> outputs;
  for (int i = 0; i < 200; ++i) {
    const std::string output = "Tea &amp; " + std::to_string(stream.next_below(40));
    outputs.insert("Tea & " + output.substr(10));
    rows.push_back(row_of({"raw " + std::to_string(i), output, "Soap 1"}, 1));
    splits.push_back(kSplits[stream.next_below(3)]);
  }
  rows.push_back(row_of({"Soap 1", "Soap 2", "Soap 3"}, 0));
  rows.back().text.instruction = "it shows none of them";
  rows.push_back(row_of({"<b>", "Soap 2", "Soap 3"}, 0));
  rows.push_back({});
  splits.resize(rows.size(), Split::train);
  RedrawnOptions redrawn({200, 5});
  for (std::size_t i = 0; i < rows.size(); ++i) redrawn.add(rows[i], splits[i]);
  LoneRank alone;
  redrawn.join(alone);
  std::array<int, 3> places{};
  for (std::size_t i = 0; i < 200; ++i) {
    ParsedRow row = rows[i], again = rows[i];
    ASSERT_EQ(redrawn.redraw(i, row), RedrawnOptions::Fate::redrawn);
    EXPECT_EQ(row.text.output, "Tea & " + rows[i].text.output.substr(10));
    EXPECT_EQ(row.options[*row.gold], row.text.output);
    EXPECT_EQ(row.text.instruction, kFrame + shown(row.options));
    EXPECT_EQ(std::set(row.options.begin(), row.options.end()).size(), 3U);
    for (const std::string& option : row.options) EXPECT_TRUE(outputs.contains(option) || option == "Soap 1") << option;
    ++places[*row.gold];
    EXPECT_EQ(redrawn.redraw(i, again), RedrawnOptions::Fate::redrawn);
    EXPECT_EQ(again.options, row.options);
  }
  for (const int place : places) EXPECT_GT(place, 40);  // 67 expected, a standard deviation of 6.7
  for (const auto& [index, fate] :
       {std::pair(200U, RedrawnOptions::Fate::options_not_shown),
        std::pair(201U, RedrawnOptions::Fate::unusable_output), std::pair(202U, RedrawnOptions::Fate::no_options)}) {
    ParsedRow row = rows[index];
    EXPECT_EQ(redrawn.redraw(index, row), fate);
    EXPECT_EQ(row.options, rows[index].options);
  }
}

}  // namespace
}  // namespace allreco::data
