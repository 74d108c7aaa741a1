#include "data/prompts/shown_options.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace allreco::data {
namespace {

std::string cut(const std::string& text, const std::vector<std::string>& options) {
  const auto range = find_shown_options(text, options);
  return range ? text.substr(range->begin, range->end - range->begin) : "none";
}

TEST(ShownOptions, AreTheListNotTheHistory) {
  const std::string text = "Bought Tea, Green Tea and Soap. Next?  A) Soap, B) Tea, C) Green Tea.";
  EXPECT_EQ(cut(text, {"Soap", "Tea", "Green Tea"}), "Soap, B) Tea, C) Green Tea");
  EXPECT_EQ(cut(text, {"Tea", "Soap"}), "Tea and Soap. Next?  A) Soap");
  EXPECT_EQ(cut(text, {"Green Tea", "Rice", "Soap"}),
            "Soap, B) Tea, C) Green Tea");  // not all of them: the last of each
  EXPECT_EQ(cut(text, {"Rice"}), "none");
  EXPECT_EQ(cut(text, {}), "none");
  EXPECT_EQ(cut("", {"x"}), "none");
}

/// The last place of the first option from which all follow in order, by trying all places.
bool stand_in_order(const std::string& text, const std::vector<std::string>& options, size_t option, size_t from) {
  if (option == options.size()) return true;
  for (size_t place = text.find(options[option], from); place != std::string::npos;
       place = text.find(options[option], place + 1))
    if (stand_in_order(text, options, option + 1, place + options[option].size())) return true;
  return false;
}

TEST(ShownOptions, BeginAtTheLastPlaceThatWorks) {
  core::RandomStream stream(core::key_of("shown options"));
  const auto random_text = [&](size_t size) {
    std::string text;
    while (text.size() < size) text += "ab "[stream.next_below(3)];
    return text;
  };
  int num_found = 0;
  for (int round = 0; round < 500; ++round) {
    const std::string text = random_text(14);
    const std::vector<std::string> options{random_text(1 + stream.next_below(2)), random_text(1 + stream.next_below(3)),
                                           random_text(1 + stream.next_below(2))};
    size_t last = std::string::npos;
    for (size_t begin = 0; begin < text.size(); ++begin)
      if (text.compare(begin, options[0].size(), options[0]) == 0 &&
          stand_in_order(text, options, 1, begin + options[0].size()))
        last = begin;
    const auto ranges = find_options_in_order(text, options);
    ASSERT_EQ(ranges.empty(), last == std::string::npos) << text;
    if (ranges.empty()) continue;
    ++num_found;
    EXPECT_EQ(ranges.front().begin, last) << text;
    for (size_t i = 0; i < ranges.size(); ++i)
      EXPECT_EQ(text.substr(ranges[i].begin, ranges[i].end - ranges[i].begin), options[i]);
  }
  EXPECT_GT(num_found, 100);
}

}  // namespace
}  // namespace allreco::data
