#include "recommend/request.h"

#include <gtest/gtest.h>

namespace allreco::recommend {
namespace {

const Request kDefaults{{}, 7, false, nullptr};

ItemIndex index() { return ItemIndex({{0, "A0", "one, two", 0, {1}}, {1, "A1", "three", 0, {1}}}); }

RequestError error_of(std::string_view text) {
  try {
    parse_request(text, kDefaults);
  } catch (const RequestError& e) {
    return e;
  }
  ADD_FAILURE() << text << " is taken";
  return {RequestError::Kind::malformed, ""};
}

TEST(Request, AllMembers) {
  const Request request = parse_request(
      R"({"id": {"user": [1]}, "history": ["A0", 1, "one"], "k": 5, "exclude_history": true})", kDefaults);
  EXPECT_EQ(request.history, (std::vector<ItemName>{"A0", std::int64_t{1}, "one"}));
  EXPECT_EQ(request.k, 5);
  EXPECT_TRUE(request.exclude_history);
  EXPECT_EQ(request.id, core::Json::parse(R"({"user": [1]})"));
}

TEST(Request, WhatIsMissingIsTheDefault) {
  const Request request = parse_request(R"({"history": ["A0"]})", kDefaults);
  EXPECT_EQ(request.k, 7);
  EXPECT_FALSE(request.exclude_history);
  EXPECT_TRUE(request.id.is_null());
}

TEST(Request, WhatIsNoRequestSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "the request"},
      {R"({"history": ["A0"])", "the request"},
      {"[]", "object"},
      {"3", "object"},
      {"{}", "\"history\" is missing"},
      {R"({"history": "A0"})", "list"},
      {R"({"history": []})", "empty"},
      {R"({"history": [true]})", "boolean"},
      {R"({"history": [1.5]})", "number"},
      {R"({"history": [null]})", "null"},
      {R"({"history": [[1]]})", "array"},
      {R"({"history": [18446744073709551615]})", "number"},
      {R"({"history": ["A0"], "k": 0})", "\"k\""},
      {R"({"history": ["A0"], "k": 1001})", "1 to 1000"},
      {R"({"history": ["A0"], "k": "5"})", "\"k\""},
      {R"({"history": ["A0"], "exclude_history": 1})", "true or false"},
      {R"({"history": ["A0"], "top": 5})", "\"top\" is no member"},
      {std::string(200, '[') + std::string(200, ']'), "deep"},
      {"{\"history\": [\"\xff\"]}", "the request"}};
  for (const auto& [text, expected] : cases) {
    const RequestError error = error_of(text);
    EXPECT_EQ(error.kind(), RequestError::Kind::malformed) << text;
    EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << text << ": " << error.what();
  }
}

TEST(Request, TooMuchIsRefused) {
  EXPECT_EQ(error_of(std::string(kLongestRequest + 1, ' ')).kind(), RequestError::Kind::too_long);
  std::string many = "{\"history\": [0";
  for (std::size_t i = 0; i < kMostHistoryItems; ++i) many += ",0";
  EXPECT_NE(std::string(error_of(many + "]}").what()).find("1001 items"), std::string::npos);
}

TEST(Request, AnErrorKeepsTheId) {
  EXPECT_EQ(error_of(R"({"id": 17, "history": []})").details(), core::Json({{"id", 17}}));
}

TEST(PlainRequest, CutAtBarsOrCommas) {
  const ItemIndex items = index();
  const auto history = [&](std::string_view text) { return parse_plain_request(text, kDefaults, items).history; };
  EXPECT_EQ(history(" A0 | three |"), (std::vector<ItemName>{"A0", "three"}));
  EXPECT_EQ(history("A0, A1,"), (std::vector<ItemName>{"A0", "A1"}));
  EXPECT_EQ(history("one, two"), (std::vector<ItemName>{"one, two"})) << "a title with a comma";
  EXPECT_EQ(history("one, two | A1"), (std::vector<ItemName>{"one, two", "A1"}));
  for (const char* nothing : {"", "  ", "|", ",", " | | "}) EXPECT_THROW(history(nothing), RequestError) << nothing;
}

TEST(Line, BeginsWithABraceOrIsPlain) {
  const ItemIndex items = index();
  EXPECT_EQ(parse_line(R"(  {"history": [1]})", kDefaults, items).history, (std::vector<ItemName>{std::int64_t{1}}));
  EXPECT_EQ(parse_line("three", kDefaults, items).history, (std::vector<ItemName>{"three"}));
}

}  // namespace
}  // namespace allreco::recommend
