// What every example of ready prompts promises (docs/prepare.md), with the study's two configurations as shipped: the
// template's frame and all options stay, a cut takes the oldest history, only answer and end are supervised.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/files.h"
#include "core/random.h"
#include "data/prepare/naive_prompt.h"
#include "data/prepare/prepare.h"
#include "data/prepare/shipped_options.h"
#include "data/store/dataset.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr int kRows = 400;
constexpr std::int64_t kMaxLength = 300;

/// A row as it was published, in its parts.
struct Written {
  std::vector<std::string> history, options;
  std::string output;
};

std::string comma_list(const std::vector<std::string>& texts, bool with_labels) {
  std::string all;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string label = with_labels ? std::string(1, static_cast<char>('A' + i)) + ") " : "";
    all += (i > 0 ? ", " : "") + label + texts[i];
  }
  return all;
}

/// The published wording up to the options, which begin at the end of it.
std::string text_before_options(const Written& row) {
  return "Reviewer has bought " + comma_list(row.history, false) +
         ". Considering their purchase history, which product will they buy next from the below options?  ";
}

Written drawn_row(core::RandomStream& draw) {
  static const std::vector<std::string> kWords = {"Tea",  "Green", "Soap",  "Rice",   "Oil", "Pack",
                                                  "Milk", "Dark",  "Beans", "Cereal", "Bar", "Fresh"};
  const auto title = [&](std::uint64_t num_titles) {
    std::uint64_t item = draw.next_below(num_titles);
    std::string text = kWords[item % kWords.size()];
    for (; item > 0; item /= kWords.size()) text += " " + kWords[item % kWords.size()];
    return text;
  };
  Written row;
  for (std::uint64_t n = 1 + draw.next_below(draw.next_below(3) == 0 ? 120 : 10); n > 0; --n)
    row.history.push_back(title(1000));
  while (row.options.size() < 4) {
    const std::string option = title(300);
    if (std::find(row.options.begin(), row.options.end(), option) == row.options.end()) row.options.push_back(option);
  }
  row.output = row.options[draw.next_below(4)];
  return row;
}

class PromptPromises : public ::testing::TestWithParam<std::string> {
 protected:
  PromptPromises() : tokenizer_(ALLRECO_SOURCE_DIR "/tests/fixtures/tokenizer/llama2-tokenizer.model") {
    core::RandomStream draw(core::key_of("prompts"));
    std::string lines;
    for (int i = 0; i < kRows; ++i) {
      rows_.push_back(drawn_row(draw));
      lines += Json{{"instruction", text_before_options(rows_.back()) + comma_list(rows_.back().options, true) + "."},
                    {"input", ""},
                    {"output", rows_.back().output},
                    {"timestamp", i}}  // which row it is
                   .dump() +
               "\n";
    }
    core::write_file_atomically(scratch_ / "prompts.jsonl", lines);
    config_.prompts = (scratch_ / "prompts.jsonl").string();
    config_.tokenizer = tokenizer_.path().string();
    config_.output_dir = (scratch_ / "ds").string();
    config_.max_length = kMaxLength;
    set_shipped_options(config_, GetParam());
  }

  void check(const Example& found, const Written& row);

  support::TemporaryDirectory scratch_;
  Tokenizer tokenizer_;
  std::vector<Written> rows_;
  PrepareConfig config_;
  std::vector<Item> items_;
  Json template_;
  int num_cut_ = 0;
};

void PromptPromises::check(const Example& found, const Written& row) {
  std::vector<std::string> options;
  for (const std::uint32_t item : found.candidates) options.push_back(items_.at(item).title);
  ASSERT_EQ(options.size(), 4u);
  EXPECT_EQ(std::set(options.begin(), options.end()).size(), 4u);
  EXPECT_EQ(options.at(found.gold.value()), row.output);
  if (config_.negatives == "given") {
    EXPECT_EQ(options, row.options);
  }

  std::vector<TokenId> answer = tokenizer_.encode(row.output);
  answer.push_back(tokenizer_.eos_id());
  EXPECT_EQ(std::vector<TokenId>(found.tokens.begin() + found.prompt_length, found.tokens.end()), answer);

  const std::vector<TokenId> prompt(found.tokens.begin(), found.tokens.begin() + found.prompt_length);
  const std::string shown = comma_list(options, true) + ".";
  const auto whole = naive_prompt_ids(template_, {text_before_options(row) + shown, ""}, tokenizer_, true);
  if (std::ssize(whole) + std::ssize(answer) <= kMaxLength) {
    EXPECT_EQ(prompt, whole);
    return;
  }
  ++num_cut_;
  EXPECT_EQ(std::ssize(found.tokens), kMaxLength);  // no more is lost than must be
  const std::string text = tokenizer_.decode(prompt);
  const std::string format = template_["prompt_without_input"];
  const size_t place = format.find("{instruction}");
  EXPECT_TRUE(text.starts_with(format.substr(0, place))) << text;
  EXPECT_TRUE(text.ends_with("options?  " + shown + format.substr(place + std::string("{instruction}").size())))
      << text;
  // Between them the newest history, without a gap: the longest common end holds all but the frame's beginning.
  const auto [in_prompt, in_whole] = std::mismatch(prompt.rbegin(), prompt.rend(), whole.rbegin(), whole.rend());
  const auto [in_head, unused] = std::mismatch(prompt.begin(), prompt.end(), whole.begin(), whole.end());
  EXPECT_GE((in_prompt - prompt.rbegin()) + (in_head - prompt.begin()), std::ssize(prompt)) << text;
}

TEST_P(PromptPromises, OfEveryExample) {
  prepare(config_, "");
  const DatasetInfo info = read_dataset_info(config_.output_dir);
  items_ = read_catalogue(info);
  template_ = info.json["template"];
  std::set<std::int64_t> found_rows;
  for (const std::string split : {"train", "validation", "test"}) {
    if (!has_split(info, split)) continue;
    const Dataset dataset(config_.output_dir, split);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const Example found = dataset.example(i);
      SCOPED_TRACE(fmt::format("{} {}", split, i));
      EXPECT_TRUE(found_rows.insert(found.timestamp.value()).second) << "a row is there twice";
      check(found, rows_.at(static_cast<size_t>(*found.timestamp)));
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(std::ssize(found_rows), kRows);
  EXPECT_GT(num_cut_, kRows / 10);
}

INSTANTIATE_TEST_SUITE_P(Study, PromptPromises, ::testing::Values("study-as-published.cfg", "study-repaired.cfg"));

}  // namespace
}  // namespace allreco::data
