// The oracle is nlohmann's own parser.
#include "core/json_parse.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <random>

#include "core/check.h"
#include "support/message_of.h"

namespace allreco::core {
namespace {

std::string error_of(const std::string& text, Json (*parse)(const std::string&)) {
  return support::message_of<Json::exception>([&] { parse(text); });
}

Json by_nlohmann(const std::string& text) { return Json::parse(text); }
Json by_us(const std::string& text) { return parsed(text); }

/// A document of any shape; keys come twice often.
std::string random_document(std::mt19937& random, int depth) {
  const auto choose = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  const std::array<const char*, 8> scalars{"null", "true",  "-3",   "18446744073709551615",
                                           "0.1",  "1e300", "\"\"", "\"\\u00e9\\n\""};
  const int kind = depth == 0 ? 0 : choose(3);
  if (kind == 0) return scalars[static_cast<size_t>(choose(8))];
  std::string text;
  for (int i = choose(40); i > 0; --i) {
    if (!text.empty()) text += ',';
    if (kind == 1) text += fmt::format("\"k{}\":", choose(30));
    text += random_document(random, depth - 1);
  }
  return kind == 1 ? "{" + text + "}" : "[" + text + "]";
}

TEST(JsonParse, ParsesAsNlohmannDoes) {
  std::mt19937 random(12);
  size_t num_repeated = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_document(random, 3);
    const Json expected = Json::parse(text);
    ASSERT_EQ(parsed(text), expected) << text;
    ASSERT_EQ(parsed(text).dump(), expected.dump()) << "the order of the keys, in " << text;
    num_repeated += expected.dump().size() < text.size() / 2 ? 1 : 0;
  }
  EXPECT_GT(num_repeated, 10u) << "no keys came twice";
}

TEST(JsonParse, RefusesWithNlohmannsWords) {
  for (const char* text :
       {"", "{", "[1,", "{\"a\" 1}", "{1:2}", "nul", "1e999", "\"\xff\"", "[1]]", "{\"a\":1,}", "\"\n\""}) {
    const std::string expected = error_of(text, by_nlohmann);
    EXPECT_FALSE(expected.empty()) << text;
    EXPECT_EQ(error_of(text, by_us), expected) << text;
  }
}

// nlohmann compares each new key with all before it: 45,000,000,000 times here.
TEST(JsonParse, AnObjectOfManyKeysTakesNoMoreThanItsLength) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += fmt::format("\"k{}\":{},", i, i);
  text += "\"k7\":-1}";
  const auto start = std::chrono::steady_clock::now();
  const Json value = parsed(text);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
  ASSERT_EQ(value.size(), 300'000u);
  EXPECT_EQ(value.at("k7"), -1) << "the last value of a key counts";
  EXPECT_EQ(std::next(value.begin(), 7).key(), "k7") << "in the place of the first";
  EXPECT_EQ(std::prev(value.end()).value(), 299'999);
}

TEST(JsonParse, NestingIsBoundedBeforeAnythingIsParsed) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_EQ(parse_json(nested(kMaxJsonDepth), "x").dump(), nested(kMaxJsonDepth));
  EXPECT_THROW(parse_json(nested(kMaxJsonDepth + 1), "x"), UserError);
}

}  // namespace
}  // namespace allreco::core
