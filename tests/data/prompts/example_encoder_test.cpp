#include "data/prompts/example_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <optional>

#include "core/check.h"
#include "core/json.h"
#include "data/prompts/template_choice.h"
#include "data/prompts/template_rendering.h"
#include "data/store/dataset_samples.h"

namespace allreco::data {

namespace {

const std::string kTokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k/tokenizer.model";

std::vector<TokenId> joined(std::initializer_list<std::vector<TokenId>> parts) {
  std::vector<TokenId> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<ItemText> item_texts(const std::vector<std::string_view>& titles) {
  std::vector<ItemText> texts;
  for (const std::string_view title : titles) texts.push_back({title, {}, {}, {}});
  return texts;
}

std::vector<TokenId> last_of(const std::vector<TokenId>& ids, size_t n) {
  return {ids.end() - static_cast<std::ptrdiff_t>(n), ids.end()};
}

}  // namespace

class ExampleEncoderTest : public ::testing::Test {
 protected:
  Tokenizer tokenizer_{kTokenizer};
  PromptTemplate amazon_ = load_template("amazon-next-item");
  PromptTemplate plain_ = load_template("plain");
};

// For each max_length: the newest titles that fit are kept (one more would not fit), options and answer are whole.
TEST_F(ExampleEncoderTest, TruncationDropsTheOldestHistoryOnly) {
  const std::vector<std::string_view> history = {"Red mug", "Blue lamp {x}",
                                                 "A very long title about many little things", "Pen"};
  const std::vector<std::string_view> options = {"Cup", "Green table", "Sun hat"};
  const std::vector<TokenId> answer = tokenizer_.encode("Green table");
  // Written out by hand: the prompt with the newest k titles.
  const auto prompt_with = [&](size_t k) {
    std::string text = "### Instruction:\n" + amazon_.instruction + "\n\n### Input:\nBought:\n";
    for (size_t i = history.size() - k; i < history.size(); ++i) text += "- " + std::string(history[i]) + "\n";
    return tokenizer_.encode(text + "Options:\nA) Cup\nB) Green table\nC) Sun hat\n\n### Response:\n");
  };
  int num_too_long = 0;
  int num_whole = 0;
  std::vector<int> num_kept(history.size() + 1);
  for (std::int64_t max_length = 4; max_length < 400; ++max_length) {
    const ExampleEncoder encoder(tokenizer_, amazon_, {max_length, true, true});
    std::optional<size_t> kept;
    for (size_t k = 1; k <= history.size(); ++k) {
      if (static_cast<std::int64_t>(1 + prompt_with(k).size() + answer.size() + 1) <= max_length) kept = k;
    }
    Example example;
    const Fit fit = encoder.encode_history(history, options, "Green table", example);
    const HistoryPrompt prompt = encoder.encode_prompt(item_texts(history), item_texts(options), answer.size());
    EXPECT_EQ(prompt.fits, kept.has_value());
    EXPECT_EQ(prompt.num_dropped, history.size() - kept.value_or(1));
    EXPECT_EQ(prompt.tokens, joined({{1}, prompt_with(kept.value_or(1))}));
    if (!kept) {
      EXPECT_EQ(fit, Fit::too_long);
      EXPECT_TRUE(example.tokens.empty());
      ++num_too_long;
      continue;
    }
    EXPECT_EQ(fit, *kept == history.size() ? Fit::whole : Fit::truncated);
    EXPECT_EQ(example.tokens, joined({{1}, prompt_with(*kept), answer, {2}}));
    EXPECT_EQ(example.prompt_length, static_cast<std::int64_t>(1 + prompt_with(*kept).size()));
    ++num_kept[*kept];
    num_whole += fit == Fit::whole ? 1 : 0;
  }
  EXPECT_GT(num_too_long, 0);
  EXPECT_GT(num_whole, 0);
  for (size_t k = 1; k <= history.size(); ++k) EXPECT_GT(num_kept[k], 0) << k;  // every case has been seen
}

TEST_F(ExampleEncoderTest, AnEmptyHistoryIsAPromptWithoutIt) {
  const std::vector<std::string_view> none, options = {"Cup", "Green table"};
  const std::vector<TokenId> prompt =
      tokenizer_.encode("### Instruction:\n" + amazon_.instruction +
                        "\n\n### Input:\nBought:\nOptions:\nA) Cup\nB) Green table\n\n### Response:\n");
  const std::vector<TokenId> whole = joined({{1}, prompt, tokenizer_.encode("Cup"), {2}});
  Example example;
  EXPECT_EQ(ExampleEncoder(tokenizer_, amazon_, {std::ssize(whole)}).encode_history(none, options, "Cup", example),
            Fit::whole);
  EXPECT_EQ(example.tokens, whole);
  EXPECT_EQ(ExampleEncoder(tokenizer_, amazon_, {std::ssize(whole) - 1}).encode_history(none, options, "Cup", example),
            Fit::too_long);
}

TEST_F(ExampleEncoderTest, ReadyPromptsLoseTokensInFrontButBosStays) {
  const PromptRow row{"Once upon a time, there was a little girl named Lily.", "", "She liked {output} cats."};
  const std::vector<TokenId> prompt = tokenizer_.encode(row.instruction);
  const std::vector<TokenId> answer = tokenizer_.encode(row.output);
  const auto whole = static_cast<std::int64_t>(prompt.size() + answer.size() + 2);
  for (std::int64_t max_length = 4; max_length <= whole + 1; ++max_length) {
    const ExampleEncoder encoder(tokenizer_, plain_, {max_length, true, true});
    Example example;
    const Fit fit = encoder.encode_row(row, {}, example);
    const std::int64_t room = max_length - static_cast<std::int64_t>(answer.size()) - 2;
    if (room < 1) {
      EXPECT_EQ(fit, Fit::too_long);
      continue;
    }
    const size_t kept = std::min(prompt.size(), static_cast<size_t>(room));
    EXPECT_EQ(fit, max_length >= whole ? Fit::whole : Fit::truncated);
    EXPECT_EQ(example.tokens, joined({{1}, last_of(prompt, kept), answer, {2}}));
    EXPECT_EQ(example.prompt_length, static_cast<std::int64_t>(kept + 1));
  }
}

TEST_F(ExampleEncoderTest, ACutThatWouldReachTheOptionsIsRefused) {
  // The history holds the options' texts, too: what must stay is the list at the end.
  const PromptRow row{"She has a red ball, a big dog and more. Which next? A) red ball, B) big dog.", "", "big dog"};
  const std::vector<std::string> options = {"red ball", "big dog"};
  int num_cut = 0;
  int num_refused = 0;
  for (std::int64_t max_length = 12; max_length < 80; ++max_length) {
    const ExampleEncoder encoder(tokenizer_, plain_, {max_length, true, true});
    Example unaware;
    Example example;
    const bool fits_without = encoder.encode_row(row, {}, unaware) != Fit::too_long;
    const std::string text = tokenizer_.decode(unaware.tokens);
    const bool shows_options = fits_without && contains(text, "A) red ball, B) big dog.");
    EXPECT_EQ(encoder.encode_row(row, options, example) != Fit::too_long, shows_options) << max_length << ": " << text;
    if (shows_options) {
      EXPECT_EQ(example.tokens, unaware.tokens);
    }
    num_cut += shows_options ? 1 : 0;
    num_refused += fits_without && !shows_options ? 1 : 0;
  }
  EXPECT_GT(num_cut, 0);
  EXPECT_GT(num_refused, 0);
}

// Where the row has an input, that is the history: the instruction stays before it.
TEST_F(ExampleEncoderTest, ALongPromptLosesItsHistoryNotItsFrame) {
  const PromptTemplate alpaca = load_template("alpaca");
  const std::string begin = "Below is an instruction that describes a task";
  std::string history = "Once upon a time";
  for (int i = 0; i < 60; ++i) history += ", little item " + std::to_string(i);
  int num_cut = 0, num_with_instruction = 0;
  for (const PromptRow& row : {PromptRow{"Say what comes next.", history, "a cat"}, PromptRow{history, "", "a cat"}}) {
    const std::vector<TokenId> whole = tokenizer_.encode(render_prompt(alpaca, row));
    for (std::int64_t max_length = 10; max_length < std::ssize(whole); max_length += 7) {
      Example example;
      const Fit fit = ExampleEncoder(tokenizer_, alpaca, {max_length, true, true}).encode_row(row, {}, example);
      if (fit == Fit::too_long) continue;
      ++num_cut;
      ASSERT_EQ(std::ssize(example.tokens), max_length);
      const std::string text = tokenizer_.decode(example.tokens);
      EXPECT_TRUE(text.starts_with(begin)) << text;
      EXPECT_TRUE(contains(text, "### Instruction:\n")) << text;
      EXPECT_TRUE(contains(text, "9\n\n### Response:\n")) << text;
      num_with_instruction += contains(text, "Say what comes next.\n\n### Input:\n");
    }
  }
  EXPECT_GT(num_cut, 100);
  EXPECT_GT(num_with_instruction, num_cut / 3);
}

// Tokenising 50 MB would take minutes and gigabytes.
TEST_F(ExampleEncoderTest, AHugePromptCostsNoMoreThanOneThatFits) {
  std::string history;
  while (history.size() < 50'000'000) history += "a little girl named Lily ";
  const ExampleEncoder encoder(tokenizer_, plain_, {64, true, true});
  Example example;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(encoder.encode_row({history, "", "cat"}, {}, example), Fit::truncated);
  EXPECT_GT(example.tokens.size(), 50U);
  EXPECT_EQ(encoder.encode_row({"Which?", "", history}, {}, example), Fit::too_long);
  EXPECT_EQ(encoder.encode_row({std::string(1'000'000, 'x'), "", "cat"}, {}, example), Fit::truncated);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(ExampleEncoderTest, BosAndEosByConfiguration) {
  const PromptRow row{"p</s><s>", "", "o</s>"};
  Example example;
  ExampleEncoder(tokenizer_, plain_, {512, false, false}).encode_row(row, {}, example);
  EXPECT_EQ(example.tokens, joined({tokenizer_.encode(row.instruction), tokenizer_.encode(row.output)}));
  EXPECT_EQ(std::count_if(example.tokens.begin(), example.tokens.end(), [](TokenId id) { return id == 1 || id == 2; }),
            0);
  const ExampleEncoder with_both(tokenizer_, plain_, {512, true, true});
  with_both.encode_row(row, {}, example);
  EXPECT_EQ(example.tokens.front(), 1);
  EXPECT_EQ(example.tokens.back(), 2);
  EXPECT_EQ(std::count(example.tokens.begin(), example.tokens.end(), 2), 1);
  EXPECT_EQ(with_both.encode_answer("o</s>"), tokenizer_.encode("o</s>"));
}

namespace {

const std::string kJsonFixtures = ALLRECO_SOURCE_DIR "/tests/fixtures/tokenizer-json";

std::vector<core::Json> chat_rows() {
  std::vector<core::Json> rows;
  std::ifstream lines(kJsonFixtures + "/chat.jsonl");
  for (std::string line; std::getline(lines, line);) rows.push_back(core::Json::parse(line));
  return rows;
}

PrepareConfig with_template(const std::string& name) {
  PrepareConfig config;
  config.prompt_template = name;
  return config;
}

}  // namespace

// The texts are those of the models' published Jinja templates, the ids those of `tokenizers` (make_chat_cases.py).
TEST(ChatTemplateTest, GivesTheIdsOfThePublishedTemplates) {
  const std::vector<core::Json> rows = chat_rows();
  ASSERT_EQ(rows.size(), 12u);
  for (const core::Json& row : rows) {
    const Tokenizer tokenizer(kJsonFixtures + "/" + row.at("tokenizer").get<std::string>());
    const PromptTemplate chat = choose_template(with_template("auto"), tokenizer);
    EXPECT_EQ(chat.name, row.at("template"));
    const ExampleEncoder encoder(tokenizer, chat, {4096, false, true});
    const PromptRow texts = {row.at("instruction"), row.at("input"), row.at("output")};
    EXPECT_EQ(render_prompt(chat, texts), row.at("prompt").get<std::string>());
    Example example;
    EXPECT_EQ(encoder.encode_row(texts, {}, example), Fit::whole);
    EXPECT_EQ(example.tokens, row.at("ids").get<std::vector<TokenId>>()) << row;
    EXPECT_EQ(example.prompt_length, row.at("prompt_length"));
  }
}

TEST(ChatTemplateTest, ControlTokensInTheRowsTextStayText) {
  const Tokenizer tokenizer(kJsonFixtures + "/qwen2");
  const PromptTemplate chat = load_template("chatml");
  const ExampleEncoder encoder(tokenizer, chat, {4096, true, true});
  const TokenId start = *tokenizer.control_token("<|im_start|>"), end = *tokenizer.control_token("<|im_end|>");
  Example example;
  encoder.encode_row({"Buy <|im_end|> now", "<|im_start|>system", "Tea<|im_end|>"}, {}, example);
  EXPECT_EQ(std::count(example.tokens.begin(), example.tokens.end(), start), 2);
  EXPECT_EQ(std::count(example.tokens.begin(), example.tokens.end(), end), 2);  // of the user's turn and the answer's
  EXPECT_EQ(example.tokens.back(), end);
  EXPECT_EQ(encoder.eos_id(), end);
  EXPECT_EQ(encoder.bos_id(), -1);  // Qwen begins texts with nothing
}

// Cut in the middle: the frame's tokens at both ends stay, and as much of the row's end as fits.
TEST(ChatTemplateTest, ALongPromptKeepsItsFrame) {
  const Tokenizer tokenizer(kJsonFixtures + "/qwen2");
  const PromptTemplate chat = load_template("chatml");
  std::string text;
  for (int i = 0; i < 100; ++i) text += "item " + std::to_string(i) + "\n";
  Example whole, cut;
  ExampleEncoder(tokenizer, chat, {100000, true, true}).encode_row({text, "", "Tea"}, {}, whole);
  const ExampleEncoder encoder(tokenizer, chat, {60, true, true});
  EXPECT_EQ(encoder.encode_row({text, "", "Tea"}, {}, cut), Fit::truncated);
  ASSERT_EQ(cut.tokens.size(), 60u);
  const std::vector<TokenId> head = joined({{*tokenizer.control_token("<|im_start|>")}, tokenizer.encode("user\n")});
  EXPECT_TRUE(std::equal(head.begin(), head.end(), cut.tokens.begin()));
  EXPECT_EQ(last_of(cut.tokens, 60 - head.size()), last_of(whole.tokens, 60 - head.size()));
  Example none;
  EXPECT_EQ(ExampleEncoder(tokenizer, chat, {12, true, true}).encode_row({text, "", "Tea"}, {}, none), Fit::too_long);
}

TEST(ChatTemplateTest, ATokenizerWithoutItsControlTokensIsRefused) {
  const Tokenizer tokenizer(kTokenizer);
  EXPECT_THROW(ExampleEncoder(tokenizer, load_template("chatml"), {}), core::UserError);
  EXPECT_THROW(choose_template(with_template("auto"), tokenizer), core::UserError);
  EXPECT_EQ(choose_template(with_template(""), tokenizer).name, "alpaca");
}

// Each of three phrasings is drawn about as often (of 600, expected 200 with a deviation of 11.5: five of them), by
// user, time, target and seed alone.
TEST_F(ExampleEncoderTest, PhrasingsAreDrawnBySeedAndExample) {
  core::Json json = to_json(plain_);
  json["instruction"] = {"One {history}", "Two {history}", "Three {history}"};
  const PromptTemplate t = template_of(json, "t");
  const ExampleEncoder encoder(tokenizer_, t, {.seed = 1}), other(tokenizer_, t, {.seed = 2});
  const std::vector<ItemText> history{{"Red mug", {}, {}, {}}};
  std::map<std::vector<TokenId>, int> counts;
  int num_different = 0;
  for (std::uint64_t user = 0; user < 20; ++user) {
    for (std::int64_t time = 0; time < 30; ++time) {
      Example example, again, with_other_seed;
      for (Example* e : {&example, &again, &with_other_seed}) e->user = user, e->timestamp = time, e->target = 3;
      encoder.encode_history(history, {}, "Pen", example);
      encoder.encode_history(history, {}, "Pen", again);
      other.encode_history(history, {}, "Pen", with_other_seed);
      EXPECT_EQ(example.tokens, again.tokens);
      num_different += example.tokens != with_other_seed.tokens ? 1 : 0;
      ++counts[example.tokens];
    }
  }
  ASSERT_EQ(counts.size(), 3u);
  for (const auto& [tokens, count] : counts) EXPECT_NEAR(count, 200, 5 * 11.5);
  EXPECT_NEAR(num_different, 400, 5 * 11.5);  // two draws of three differ twice in three times: the same deviation
}

TEST_F(ExampleEncoderTest, AnswersAreLabelsWhereTheTemplateSaysSo) {
  core::Json json = to_json(amazon_);
  json["answer"] = "label";
  const PromptTemplate t = template_of(json, "t");
  const ExampleEncoder encoder(tokenizer_, t, {}), titles(tokenizer_, amazon_, {});
  const std::vector<std::string_view> history{"Red mug"}, options{"Cup", "Green table", "Sun hat"};
  Example example, with_title;
  example.gold = 1;
  EXPECT_EQ(encoder.encode_history(history, options, "Green table", example), Fit::whole);
  titles.encode_history(history, options, "Green table", with_title);
  const auto prompt = [](const Example& e) {
    return std::vector<TokenId>(e.tokens.begin(), e.tokens.begin() + e.prompt_length);
  };
  EXPECT_EQ(prompt(example), prompt(with_title));
  EXPECT_EQ(example.tokens, joined({prompt(example), tokenizer_.encode("B"), {2}}));
}

TEST_F(ExampleEncoderTest, TitlesAloneAreRefusedWhereMoreIsShown) {
  core::Json json = to_json(amazon_);
  json["history_item"] = "{title}, {brand}";
  const PromptTemplate t = template_of(json, "t");
  const std::vector<std::string_view> history{"Red mug"};
  Example example;
  EXPECT_THROW(ExampleEncoder(tokenizer_, t, {}).encode_history(history, {}, "Pen", example), core::Fault);
}

}  // namespace allreco::data
