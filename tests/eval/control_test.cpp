// Controls of the example dataset: rendered again as they were they are the same tokens, so what a control changes is
// all that differs.
#include "eval/control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/json.h"
#include "data/prepare/prepare.h"
#include "eval/evaluate.h"
#include "eval/option_labels.h"
#include "eval/small_world.h"
#include "support/lone_session.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using testing::repository;

class Controls : public ::testing::Test {
 protected:
  Controls() {
    data::PrepareConfig config;
    config.reviews = repository("examples/gift-cards/reviews.json.gz");
    config.metadata = repository("examples/gift-cards/metadata.json.gz");
    config.tokenizer = repository("examples/stories260k");
    config.output_dir = scratch_ / "ds";
    data::prepare(config, "test");
    dataset_.emplace(scratch_ / "ds", "test");
  }
  data::Dataset control(const std::string& kind) {
    write_control(*dataset_, {.control = kind, .split = "test"}, scratch_ / kind);
    return data::Dataset(scratch_ / kind, "test");
  }
  data::Tokenizer tokenizer() const { return data::Tokenizer(scratch_ / "ds"); }

  support::TemporaryDirectory scratch_;
  std::optional<data::Dataset> dataset_;
};

TEST_F(Controls, RenderedAgainAsTheyWereTheyAreTheSame) {
  const data::Dataset same = control("none");
  ASSERT_EQ(same.size(), dataset_->size());
  for (std::int64_t i = 0; i < same.size(); ++i) {
    ASSERT_EQ(same.tokens(i), dataset_->tokens(i)) << i;
    ASSERT_EQ(same.prompt_length(i), dataset_->prompt_length(i)) << i;
    const data::Example before = dataset_->example(i), after = same.example(i);
    EXPECT_EQ(after.candidates, before.candidates);
    EXPECT_EQ(after.history, before.history);
    EXPECT_EQ(after.gold, before.gold);
    EXPECT_EQ(after.target, before.target);
    EXPECT_EQ(after.user, before.user);
    EXPECT_EQ(after.timestamp, before.timestamp);
  }
}

TEST_F(Controls, BlankHistoryLeavesOptionsAndAnswer) {
  const data::Dataset blank = control("blank_history");
  const auto catalogue = data::read_catalogue(dataset_->info());
  const data::Tokenizer words = tokenizer();
  ASSERT_EQ(blank.size(), dataset_->size());
  for (std::int64_t i = 0; i < blank.size(); ++i) {
    const data::Example before = dataset_->example(i), after = blank.example(i);
    EXPECT_EQ(after.candidates, before.candidates);
    EXPECT_EQ(after.gold, before.gold);
    EXPECT_TRUE(after.history.empty()) << "what the prompt does not say";
    EXPECT_FALSE(after.last_item);
    std::string prompt =
        "### Instruction:\nA shopper bought these items, oldest first. Which option will they buy next?\n\n"
        "### Input:\nBought:\nOptions:\n";
    for (std::size_t j = 0; j < before.candidates.size(); ++j)
      prompt += std::string(1, static_cast<char>('A' + j)) + ") " + catalogue[before.candidates[j]].title + "\n";
    std::vector<data::TokenId> expected = words.encode(prompt + "\n### Response:\n");
    expected.insert(expected.begin(), words.bos_id());
    ASSERT_EQ(blank.prompt(i), expected) << words.decode(blank.prompt(i));
    const std::vector<data::TokenId> answer(before.tokens.begin() + before.prompt_length, before.tokens.end());
    EXPECT_EQ(std::vector<data::TokenId>(after.tokens.begin() + after.prompt_length, after.tokens.end()), answer);
  }
}

/// What needs a history has none, and what needs none is as it was.
TEST_F(Controls, BlankHistoryIsBlankForBaselinesToo) {
  const data::Dataset blank = control("blank_history");
  support::LoneSession one;
  EvaluateConfig config;
  config.baselines_only = true;
  config.bootstrap_samples = 1000;
  config.catalogue.ranking = "exhaustive";
  const EvaluationDocument before = evaluate(one.get(), nullptr, *dataset_, config, dataset_->info()).document;
  config.control = "blank_history";
  const EvaluationDocument after = evaluate(one.get(), nullptr, blank, config, dataset_->info()).document;
  ASSERT_TRUE(before.catalogue && after.catalogue && after.candidates);
  for (const char* name : {"last_item", "co_occurrence", "item_knn", "bm25", "tf_idf", "co_occurrence_text"}) {
    EXPECT_FALSE(core::find(before.catalogue->baselines, name)->not_applicable) << name;
    EXPECT_TRUE(core::find(after.catalogue->baselines, name)->not_applicable) << name;
  }
  EXPECT_TRUE(core::find(after.candidates->baselines, "last_item_repeat")->not_applicable);
  for (const char* name : {"chance", "popularity", "recent_popularity", "shortest_title"}) {
    const CatalogueMetrics& was = core::find(before.catalogue->baselines, name)->values;
    const CatalogueMetrics& is = core::find(after.catalogue->baselines, name)->values;
    EXPECT_EQ(estimate_of(is.metrics, "mrr").value, estimate_of(was.metrics, "mrr").value) << name;
    EXPECT_FALSE(was.other_rule.empty());
    EXPECT_TRUE(is.other_rule.empty()) << name;
  }
  for (const char* name : {"most_popular_candidate", "unseen_in_train_else_popular"})
    EXPECT_EQ(estimate_of(core::find(after.candidates->baselines, name)->metrics, "accuracy").value,
              estimate_of(core::find(before.candidates->baselines, name)->metrics, "accuracy").value)
        << name;
}

TEST_F(Controls, RotatedOptionsStandOnePlaceLater) {
  const data::Dataset rotated = control("rotated_options");
  for (std::int64_t i = 0; i < rotated.size(); ++i) {
    const data::Example before = dataset_->example(i), after = rotated.example(i);
    EXPECT_EQ(after.target, before.target);
    EXPECT_EQ(after.candidates[*after.gold], before.candidates[*before.gold]);
    for (std::size_t j = 0; j < before.candidates.size(); ++j)
      EXPECT_EQ(after.candidates[(j + 1) % before.candidates.size()], before.candidates[j]);
    EXPECT_NE(rotated.prompt(i), dataset_->prompt(i));
  }
}

TEST_F(Controls, ShuffledLabelsAreDrawnAmongTheCandidates) {
  const data::Dataset shuffled = control("shuffled_labels");
  const auto catalogue = data::read_catalogue(dataset_->info());
  double kept = 0;
  for (std::int64_t i = 0; i < shuffled.size(); ++i) {
    const data::Example before = dataset_->example(i), after = shuffled.example(i);
    EXPECT_EQ(shuffled.prompt(i), dataset_->prompt(i));
    EXPECT_EQ(after.candidates, before.candidates);
    const auto& title = catalogue[after.candidates[*after.gold]].tokens;
    EXPECT_TRUE(std::equal(title.begin(), title.end(), after.tokens.begin() + after.prompt_length));
    EXPECT_EQ(after.tokens.size(), static_cast<std::size_t>(after.prompt_length) + title.size() + 1);
    kept += after.gold == before.gold;
  }
  const auto n = static_cast<double>(shuffled.size());
  EXPECT_NEAR(kept / n, 0.25, 4 * std::sqrt(0.25 * 0.75 / n));  // four standard deviations of a share
}

/// Among all items a target drawn among the candidates would be the true one far too often.
TEST_F(Controls, ShuffledLabelsAreDrawnAmongTheWholeCatalogueWhereItIsRanked) {
  write_control(*dataset_, {.control = "shuffled_labels", .split = "test", .ranks_catalogue = true}, scratch_ / "all");
  const data::Dataset shuffled(scratch_ / "all", "test");
  const auto catalogue = data::read_catalogue(dataset_->info());
  EXPECT_FALSE(shuffled.has_candidates());
  ASSERT_EQ(shuffled.size(), dataset_->size());
  double among_candidates = 0, expected = 0, variance = 0;
  for (std::int64_t i = 0; i < shuffled.size(); ++i) {
    const data::Example before = dataset_->example(i), after = shuffled.example(i);
    EXPECT_EQ(shuffled.prompt(i), dataset_->prompt(i));
    EXPECT_FALSE(after.gold);
    ASSERT_TRUE(after.target);
    const auto& title = catalogue[*after.target].tokens;
    EXPECT_TRUE(std::equal(title.begin(), title.end(), after.tokens.begin() + after.prompt_length));
    among_candidates += std::ranges::count(before.candidates, *after.target) > 0 ? 1 : 0;
    const double share = static_cast<double>(before.candidates.size()) / static_cast<double>(catalogue.size());
    expected += share;
    variance += share * (1 - share);
  }
  EXPECT_NEAR(among_candidates, expected, 4 * std::sqrt(variance));  // four standard deviations of a count
}

TEST_F(Controls, NeedWhatPromptsAreMadeOf) {
  const auto directory = testing::write_small_dataset(scratch_ / "tokens", 10);
  EXPECT_THROW(
      write_control(data::Dataset(directory, "test"), {.control = "blank_history", .split = "test"}, scratch_ / "no"),
      core::UserError);
}

TEST_F(Controls, AnOptionThatCannotBeNamesItsFile) {
  data::DatasetInfo info = dataset_->info();
  info.json["options"]["max_length"] = "long";
  core::write_json_file(info.directory / "dataset.json", info.json);
  const data::Dataset changed(info.directory, "test");
  const std::string message =
      support::message_of([&] { write_control(changed, {.control = "none", .split = "test"}, scratch_ / "no"); });
  EXPECT_TRUE(message.starts_with((info.directory / "dataset.json").string() + ": the option \"max_length\""))
      << message;
}

TEST_F(Controls, LabelsOfOptionsAreTheirTokensAsAnswers) {
  const auto labels = label_tokens(dataset_->info(), 4);
  ASSERT_TRUE(labels);
  ASSERT_EQ(labels->size(), 4u);
  const data::Tokenizer words = tokenizer();
  for (std::size_t j = 0; j < 4; ++j) EXPECT_EQ((*labels)[j], words.encode(std::string(1, static_cast<char>('A' + j))));
  EXPECT_EQ(label_tokens(dataset_->info(), 27).not_applicable, "27 options, but 26 letters");
}

TEST_F(Controls, LabelsThatBeginOthersAreNoScoresForAReason) {
  data::DatasetInfo info = dataset_->info();
  info.json["template"]["option_labels"] = "numbers";
  EXPECT_TRUE(label_tokens(info, 9));
  const auto ten = label_tokens(info, 10);
  EXPECT_FALSE(ten);
  EXPECT_NE(ten.not_applicable.find("the label \"1\" is the beginning of \"10\""), std::string::npos)
      << ten.not_applicable;
  info.json["template"]["option_item"] = "{title}";
  const auto none = label_tokens(info, 10);
  EXPECT_FALSE(none);
  EXPECT_EQ(none.not_applicable, "") << "no labels are shown";
}

}  // namespace
}  // namespace allreco::eval
