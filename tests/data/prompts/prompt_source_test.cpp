#include "data/prompts/prompt_source.h"

#include <gtest/gtest.h>

#include "data/prepare/prepare.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {

namespace {

/// The gift cards, prepared once for all tests of a process.
const DatasetInfo& gift_cards() {
  static const support::TemporaryDirectory directory;
  static const DatasetInfo info = [] {
    PrepareConfig config;
    config.reviews = ALLRECO_SOURCE_DIR "/examples/gift-cards/reviews.json.gz";
    config.metadata = ALLRECO_SOURCE_DIR "/examples/gift-cards/metadata.json.gz";
    config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
    config.max_history = 7;
    config.num_candidates = 5;
    config.output_dir = directory / "dataset";
    prepare(config, "test");
    return read_dataset_info(directory / "dataset");
  }();
  return info;
}

/// What is said of the dataset when one option of its `prepare` was `value`; null: it is not there.
std::string refusal(const char* option, const core::Json& value) {
  DatasetInfo info = gift_cards();
  if (value.is_null())
    info.json["options"].erase(option);
  else
    info.json["options"][option] = value;
  return support::message_of([&] { const PromptSource source(info); });
}

}  // namespace

TEST(PromptSource, MakesPromptsAsPrepareDid) {
  const PromptSource source(gift_cards());
  EXPECT_EQ(source.prompt_template().name, "amazon-next-item");
  EXPECT_EQ(source.max_history(), 7);
  EXPECT_EQ(source.num_options(), 5);
  const std::vector<Item> catalogue = read_catalogue(gift_cards());
  const Dataset dataset(gift_cards().directory, "train");
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const Example example = dataset.example(i);
    const auto num_answer_tokens = example.tokens.size() - static_cast<std::size_t>(example.prompt_length) - 1;  // EOS
    const HistoryPrompt made = source.encoder().encode_prompt(
        item_texts(example.history, catalogue), item_texts(example.candidates, catalogue), num_answer_tokens);
    ASSERT_TRUE(made.fits);
    ASSERT_EQ(made.tokens, dataset.prompt(i)) << i;
  }
}

TEST(PromptSource, EveryMistakeOfDatasetJsonNamesIt) {
  const std::string file = (gift_cards().directory / "dataset.json").string();
  EXPECT_EQ(refusal("max_history", 3), "");
  EXPECT_EQ(refusal("max_length", "long"), file + ": the option \"max_length\" is \"long\", expected 0 to 100000000");
  EXPECT_EQ(refusal("max_length", -1), file + ": the option \"max_length\" is -1, expected 0 to 100000000");
  EXPECT_EQ(refusal("max_history", 0), file + ": the option \"max_history\" is 0, expected 1 to 100000000");
  EXPECT_EQ(refusal("num_candidates", 1.5), file + ": the option \"num_candidates\" is 1.5, expected 2 to 254");
  EXPECT_EQ(refusal("num_candidates", 27), file + ": num_candidates is 27, but options with letters end at 26");
  EXPECT_EQ(refusal("seed", -1), file + ": the option \"seed\" is -1, expected 0 to 18446744073709551615");
  EXPECT_EQ(refusal("add_bos", 1), file + ": the option \"add_bos\" must be true or false");
  for (const char* option : {"max_length", "max_history", "num_candidates", "seed", "add_bos", "add_eos"})
    EXPECT_EQ(refusal(option, {}), file + " has no option \"" + option + "\": prepare the dataset again");
  DatasetInfo no_history = gift_cards();
  no_history.json["template"] = to_json(load_template("plain"));
  EXPECT_EQ(support::message_of([&] { const PromptSource source(no_history); }),
            file + ": the template has no place for a history");
  no_history.json["template"].erase("prompt");
  EXPECT_EQ(support::message_of([&] { const PromptSource source(no_history); }),
            "template " + file + ": the field \"prompt\" is missing");
}

TEST(PromptSource, ZeroIsTheDefaultLength) {
  DatasetInfo info = gift_cards();
  const std::vector<ItemText> history{{"Pen", "", "", ""}};
  const auto fits_beside = [&](std::int64_t max_length, std::size_t num_answer_tokens) {
    info.json["options"]["max_length"] = max_length;
    return PromptSource(info).encoder().encode_prompt(history, {}, num_answer_tokens).fits;
  };
  const std::size_t length = PromptSource(info).encoder().encode_prompt(history, {}, 0).tokens.size() + 1;  // EOS
  for (const std::int64_t max_length : {0, 512}) {
    EXPECT_TRUE(fits_beside(max_length, 512 - length));
    EXPECT_FALSE(fits_beside(max_length, 513 - length));
  }
}

TEST(PromptSource, WhatHasNoHistoriesOrAnotherTokenizerIsRefused) {
  DatasetInfo prompts = gift_cards(), tokens = gift_cards(), other = gift_cards();
  prompts.json["source"] = "prompts";
  EXPECT_TRUE(contains(support::message_of([&] { const PromptSource source(prompts); }), "not made from reviews"));
  tokens.tokenizer_sha256.clear();
  EXPECT_TRUE(contains(support::message_of([&] { const PromptSource source(tokens); }), "without a tokenizer"));
  other.tokenizer_sha256.front() = other.tokenizer_sha256.front() == '0' ? '1' : '0';
  EXPECT_TRUE(contains(support::message_of([&] { const PromptSource source(other); }), "is not the tokenizer that"));
}

}  // namespace allreco::data
