#include "core/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/check.h"
#include "core/options_json.h"
#include "support/message_of.h"

namespace allreco::core {
namespace {

struct Config {
  bool flag = false;
  std::int64_t whole = 3;
  std::uint64_t seed = 42;
  double open = 0.5, closed = 0;
  std::string text = "a b", choice = "auto";
  std::vector<std::string> names{"x"};
  std::vector<std::int64_t> layers;
  KeyedNumbers<std::int64_t> ranks;
  KeyedNumbers<double> alphas;

  OptionGroups options() {
    return {{"First",
             {{"flag", flag, "h"},
              {"whole", whole, special_or(-1, between(1, 10)), "h"},
              {"seed", seed, "h"},
              {"open", open, above_to(0, 2), "h"},
              {"closed", closed, from_below(0, 1), "h"}}},
            {"Second",
             {{"text", text, "h"},
              {"choice", choice, {"auto", "cpu"}, "h"},
              {"names", names, "h"},
              {"layers", layers, between(0, 5), "h"},
              {"ranks", ranks, between(1, 8), "h"},
              {"alphas", alphas, above_to(0, 9), "h"}}}};
  }
};

class Options : public ::testing::Test {
 protected:
  Option option(const std::string& name) {
    for (const OptionGroup& group : groups_)
      for (const Option& one : group.options)
        if (one.name() == name) return one;
    throw std::runtime_error("no option " + name);
  }
  void set(const std::string& name, const std::string& text) { option(name).set(text); }
  std::string refusal(const std::string& name, const std::string& text) {
    const std::string before = option(name).text();
    const std::string message = support::message_of([&] { set(name, text); });
    if (!message.empty()) {
      EXPECT_EQ(option(name).text(), before) << "a refused value must change nothing";
    }
    return message;
  }

  Config config_;
  OptionGroups groups_ = config_.options();
};

TEST_F(Options, EveryTypeTakesTextAndGivesItBack) {
  const std::vector<std::pair<std::string, std::string>> values{
      {"flag", "true"},
      {"whole", "10"},
      {"whole", "-1"},
      {"seed", "18446744073709551615"},
      {"open", "2"},
      {"open", "1e-300"},
      {"closed", "0"},
      {"text", " # \" \\ \n"},
      {"choice", "cpu"},
      {"names", "q_proj,l[a-z]{5,6}"},
      {"layers", "0,5"},
      {"ranks", "q{1,2}=4,v=8"},
      {"alphas", "a=0.1,b=1e-09"},
      {"names", ""},
  };
  for (const auto& [name, text] : values) {
    set(name, text);
    EXPECT_EQ(option(name).text(), text) << name;
  }
  EXPECT_EQ(config_.ranks, (KeyedNumbers<std::int64_t>{{"q{1,2}", 4}, {"v", 8}}));
  EXPECT_EQ(config_.seed, std::numeric_limits<std::uint64_t>::max());
}

TEST_F(Options, FlagsTakeTheUsualSpellings) {
  for (const char* yes : {"true", "True", "yes", "1"}) {
    set("flag", "false");
    set("flag", yes);
    EXPECT_TRUE(config_.flag) << yes;
  }
  for (const char* no : {"false", "False", "no", "0"}) {
    set("flag", "true");
    set("flag", no);
    EXPECT_FALSE(config_.flag) << no;
  }
  EXPECT_EQ(refusal("flag", "maybe"), "flag = maybe: expected true or false");
  EXPECT_EQ(refusal("flag", ""), "flag = \"\": expected true or false");
}

TEST_F(Options, RefusalsSayTheRangeWithItsOpenEnds) {
  EXPECT_EQ(refusal("whole", "11"), "whole = 11: expected a whole number, -1, or 1 to 10");
  EXPECT_EQ(refusal("whole", "0"), "whole = 0: expected a whole number, -1, or 1 to 10");
  EXPECT_EQ(refusal("whole", "1.5"), "whole = 1.5: expected a whole number, -1, or 1 to 10");
  EXPECT_EQ(refusal("whole", "9223372036854775808"),
            "whole = 9223372036854775808: expected a whole number, -1, or 1 to 10");
  EXPECT_EQ(refusal("seed", "-1"), "seed = -1: expected a whole number, at least 0 and below 18446744073709551616");
  EXPECT_EQ(refusal("seed", "18446744073709551616").substr(0, 29), "seed = 18446744073709551616: ");
  EXPECT_EQ(refusal("open", "0"), "open = 0: expected a number, above 0 and at most 2");
  EXPECT_EQ(refusal("closed", "1"), "closed = 1: expected a number, at least 0 and below 1");
  for (const char* text :
       {"nan", "-nan", "inf", "-inf", "infinity", "1e300", "1e999", "-1", "fast", "", " 1", "1 ", "0x1"}) {
    EXPECT_NE(refusal("open", text), "") << text;
    EXPECT_NE(refusal("closed", std::string(text) == "-1" ? "-1e-300" : text), "") << text;
    EXPECT_NE(refusal("whole", std::string(text) == "-1" ? "-2" : text), "") << text;
  }
  EXPECT_EQ(refusal("choice", "gpu"), "choice = gpu: expected one of auto, cpu");
  EXPECT_EQ(refusal("layers", "1,6"), "layers = 6: expected a whole number, 0 to 5");
  EXPECT_EQ(refusal("ranks", "q=4,v=9"), "ranks: v = 9: expected a whole number, 1 to 8");
  EXPECT_EQ(refusal("alphas", "v=nan"), "alphas: v = nan: expected a number, above 0 and at most 9");
  EXPECT_EQ(refusal("ranks", "q"), "ranks = q: q has no =value");
  EXPECT_NE(refusal("text", std::string("a\0b", 3)), "");
}

// The same facts hold for a config that no text made.
TEST_F(Options, CheckLooksAtTheFields) {
  EXPECT_NO_THROW(check_options(config_));
  const std::vector<std::pair<std::string, std::function<void(Config&)>>> mistakes{
      {"whole = 11", [](Config& c) { c.whole = 11; }},
      {"open = nan", [](Config& c) { c.open = std::nan(""); }},
      {"open = inf", [](Config& c) { c.open = HUGE_VAL; }},
      {"closed = 1", [](Config& c) { c.closed = 1; }},
      {"choice = tpu", [](Config& c) { c.choice = "tpu"; }},
      {"layers = -1", [](Config& c) { c.layers = {0, -1}; }},
      {"ranks: k = 0", [](Config& c) { c.ranks = {{"k", 0}}; }},
  };
  for (const auto& [expected, spoil] : mistakes) {
    Config spoilt;
    spoil(spoilt);
    const std::string message = support::message_of([&] { check_options(spoilt); });
    EXPECT_TRUE(message.starts_with(expected)) << expected << " is answered with: " << message;
  }
}

TEST_F(Options, JsonHasTheFieldsTypes) {
  EXPECT_EQ(options_json(config_).dump(),
            R"({"flag":false,"whole":3,"seed":42,"open":0.5,"closed":0.0,"text":"a b","choice":"auto","names":["x"],)"
            R"("layers":[],"ranks":[],"alphas":[]})");
}

}  // namespace
}  // namespace allreco::core
