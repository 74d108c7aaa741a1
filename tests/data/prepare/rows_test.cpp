// Single rows: token ids with labels, and ready prompts.
#include <gtest/gtest.h>

#include "core/random.h"
#include "data/input/prompt_rows.h"
#include "data/input/token_rows.h"
#include "data/prepare/rows/row_splits.h"
#include "data/store/dataset_samples.h"

namespace allreco::data {
using core::Json;

namespace {

std::string problem_of_tokens(const std::string& row) {
  Example example;
  return parse_token_row(Json::parse(row), 100, example);
}

ParsedRow parse(const std::string& row) { return parse_prompt_row(Json::parse(row)); }

}  // namespace

TEST(TokenRowsTest, LabelsInHuggingFaceConvention) {
  const auto prompt_length_of = [](const std::string& labels) {
    Example example;
    EXPECT_EQ(parse_token_row(Json::parse("{\"input_ids\": [7, 8, 9, 10], \"labels\": " + labels + "}"), 100, example),
              "");
    EXPECT_EQ(example.tokens, (std::vector<TokenId>{7, 8, 9, 10}));
    return example.prompt_length;
  };
  EXPECT_EQ(prompt_length_of("[-100, -100, 9, 10]"), 2);
  EXPECT_EQ(prompt_length_of("[-100, 8, 9, 10]"), 1);
  EXPECT_EQ(prompt_length_of("[-100, -100, -100, 10]"), 3);
  EXPECT_EQ(prompt_length_of("[7, 8, 9, 10]"), 0);  // no -100: supervised from the second token on
}

TEST(TokenRowsTest, EveryKindOfMalformedRowIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"labels": [1, 2]})", "no list input_ids"},
      {R"({"input_ids": [1, 2]})", "no list labels"},
      {R"({"input_ids": "1 2", "labels": [1, 2]})", "no list input_ids"},
      {R"({"input_ids": [1, 2.0], "labels": [1, 2]})", "input_ids[1] is no integer"},
      {R"({"input_ids": [1, 2], "labels": [-100, null]})", "labels[1] is no integer"},
      {R"({"input_ids": [1, 2, 3], "labels": [-100, 2]})", "3 input_ids but 2 labels"},
      {R"({"input_ids": [1, 100], "labels": [-100, 100]})", "input_ids[1] = 100 is outside [0, 100)"},
      {R"({"input_ids": [-1, 2], "labels": [-100, 2]})", "input_ids[0] = -1 is outside"},
      {R"({"input_ids": [18446744073709551615, 2], "labels": [-100, 2]})", "outside"},
      {R"({"input_ids": [1, 2], "labels": [18446744073709551516, 2]})", "outside"},  // -100, if it wrapped
      {R"({"input_ids": [1, 2, 3, 4], "labels": [-100, 2, -100, 4]})", "labels[2] is -100 after a supervised one"},
      {R"({"input_ids": [1, 2, 3], "labels": [1, -100, 3]})", "labels[1] is -100 after a supervised one"},
      {R"({"input_ids": [1, 2, 3], "labels": [-100, 2, 4]})", "labels[2] is 4, neither -100 nor input_ids[2] = 3"},
      {R"({"input_ids": [1, 2, 3], "labels": [-100, -100, -100]})", "no target"},
      {R"({"input_ids": [1], "labels": [1]})", "no target"},
      {R"({"input_ids": [1], "labels": [-100]})", "no target"},
      {R"({"input_ids": [], "labels": []})", "no target"},
  };
  for (const auto& [row, reason] : cases) {
    EXPECT_TRUE(contains(problem_of_tokens(row), reason)) << row << ": " << problem_of_tokens(row);
  }
}

TEST(PromptRowsTest, ReadsBothForms) {
  const ParsedRow parts = parse(R"({"instruction": "do", "input": "this", "output": " so "})");
  EXPECT_EQ(parts.fate, RowFate::usable);
  EXPECT_EQ(parts.text.instruction + "|" + parts.text.input + "|" + parts.text.output, "do|this| so ");
  const ParsedRow prompt = parse(R"({"prompt": "p", "output": "o", "input": null, "options": null, "other": 3})");
  EXPECT_EQ(prompt.fate, RowFate::usable);
  EXPECT_EQ(prompt.text.instruction, "p");
  EXPECT_EQ(prompt.text.input, "");
  EXPECT_TRUE(prompt.options.empty());
  EXPECT_FALSE(prompt.gold.has_value());
}

TEST(PromptRowsTest, UserAndTimestamp) {
  const auto with = [](const std::string& fields) { return parse(R"({"prompt": "p", "output": "o")" + fields + "}"); };
  EXPECT_FALSE(with("").user || with("").timestamp);
  EXPECT_FALSE(with(R"(, "user": null, "timestamp": null)").user);
  EXPECT_EQ(with(R"(, "user": "A1")").user, core::key_of("A1"));  // the hash of reviews
  EXPECT_EQ(with(R"(, "user": 17)").user, core::key_of("17"));
  EXPECT_EQ(with(R"(, "user": "17")").user, with(R"(, "user": 17)").user);
  EXPECT_EQ(with(R"(, "timestamp": 1588687728)").timestamp, 1588687728);
  EXPECT_EQ(with(R"(, "timestamp": 1588687728999)").timestamp, 1588687728);
  EXPECT_EQ(with(R"(, "timestamp": 1.588687728e9)").timestamp, 1588687728);
  EXPECT_EQ(with(R"(, "timestamp": 99999999999)").timestamp, 99999999999);
  EXPECT_EQ(with(R"(, "timestamp": 100000000000)").timestamp, 100000000);
  EXPECT_EQ(with(R"(, "timestamp": -1)").timestamp, -1);
  for (const char* bad : {R"(, "user": "")", R"(, "user": 1.5)", R"(, "user": ["a"])", R"(, "user": true)",
                          R"(, "timestamp": "1588687728")", R"(, "timestamp": 1.5)", R"(, "timestamp": 1e14)",
                          R"(, "timestamp": -1e11)", R"(, "timestamp": {})", R"(, "timestmp": 1)", R"(, "User": "a")"})
    EXPECT_EQ(with(bad).fate, RowFate::malformed) << bad;
}

TEST(PromptRowsTest, GoldByIndexByTextOrByOutput) {
  for (const char* gold : {"\"gold\": 1, ", "\"gold\": \"b\", ", "", "\"gold\": null, "}) {
    const ParsedRow row =
        parse(fmt::format("{{{}\"prompt\": \"p\", \"output\": \"b\", \"options\": [\"a\", \"b\", \"c\"]}}", gold));
    EXPECT_EQ(row.fate, RowFate::usable) << row.problem;
    EXPECT_EQ(row.gold, 1);
    EXPECT_EQ(row.options.size(), 3u);
  }
}

TEST(PromptRowsTest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> malformed[] = {
      {R"({"output": "o"})", "neither prompt nor instruction"},
      {R"({"prompt": "p"})", "no output"},
      {R"({"prompt": 3, "output": "o"})", "prompt is no text"},
      {R"({"prompt": "p", "instruction": "i", "output": "o"})", "both prompt and instruction"},
      {R"({"prompt": "p", "output": "a", "options": ["a"]})", "list of 2 to 254"},
      {R"({"prompt": "p", "output": "a", "options": "a, b"})", "list of 2 to 254"},
      {R"({"prompt": "p", "output": "a", "options": ["a", 3]})", "list of texts"},
      {R"({"prompt": "p", "output": "c", "options": ["a", "b"]})", "no option equals output"},
      {R"({"prompt": "p", "output": "a", "options": ["a", "b"], "gold": 2})", "none of the options"},
      {R"({"prompt": "p", "output": "a", "options": ["a", "b"], "gold": -1})", "index or text"},
      {R"({"prompt": "p", "output": "a", "options": ["a", "b"], "gold": 1})", "output differs"},
      {R"({"prompt": "p", "output": "a", "gold": 0})", "gold without options"},
      {R"({"prompt": "p", "output": "a", "optoins": ["a", "b"]})", "optoins is not read; is options meant"},
      {R"({"prompt": "p", "output": "a", "Split": "test"})", "Split is not read; is split meant"},
  };
  for (const auto& [row, reason] : malformed) {
    EXPECT_EQ(parse(row).fate, RowFate::malformed) << row;
    EXPECT_TRUE(contains(parse(row).problem, reason)) << row << ": " << parse(row).problem;
  }
  const core::Json with_more = core::Json::parse(R"({"prompt": "p", "output": "a", "text": "t", "category": 3})");
  EXPECT_EQ(parse_prompt_row(with_more).fate, RowFate::usable);
  EXPECT_EQ(unread_fields(with_more), (std::vector<std::string>{"text", "category"}));
  EXPECT_EQ(parse(R"({"prompt": null, "output": null})").fate, RowFate::empty_prompt);
  EXPECT_EQ(parse(R"({"prompt": " \n", "output": "o"})").fate, RowFate::empty_prompt);
  EXPECT_EQ(parse(R"({"prompt": "p", "output": null})").fate, RowFate::empty_output);
  EXPECT_EQ(parse(R"({"prompt": "p", "output": "a", "options": ["a", " "]})").fate, RowFate::empty_option);
  EXPECT_EQ(parse(R"({"prompt": "p", "output": "a", "options": ["a", "b", "b"]})").fate, RowFate::duplicate_option);
}

TEST(RowSplitsTest, SplitFieldsAreChecked) {
  std::optional<Split> split;
  EXPECT_EQ(parse_split(Json::parse(R"({"split": "test"})"), split), "");
  EXPECT_EQ(split, Split::test);
  EXPECT_EQ(parse_split(Json::parse(R"({"split": null})"), split), "");
  EXPECT_EQ(split, std::nullopt);
  EXPECT_TRUE(contains(parse_split(Json::parse(R"({"split": "tset"})"), split), "must be train, validation or test"));
  EXPECT_TRUE(contains(parse_split(Json::parse(R"({"split": 1})"), split), "must be"));
}

}  // namespace allreco::data
