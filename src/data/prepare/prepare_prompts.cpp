#include <array>
#include <unordered_map>

#include "core/check.h"
#include "data/prepare/example_encoder.h"
#include "data/prepare/json_lines.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/prompt_rows.h"
#include "data/prepare/row_splitter.h"
#include "data/prepare/template_choice.h"

namespace allreco::data {
using core::Json;

namespace {

/// The options' texts as catalogue items, numbered by first appearance.
class OptionCatalogue {
 public:
  explicit OptionCatalogue(const ExampleEncoder& encoder) : encoder_(encoder) {}

  std::uint32_t id_of(const std::string& title) {
    const auto [place, is_new] = ids_.try_emplace(title, static_cast<std::uint32_t>(items_.size()));
    if (is_new) items_.push_back({place->second, "", title, 0, encoder_.encode_answer(title)});
    return place->second;
  }
  void count_target(std::uint32_t id) { ++items_[id].train_count; }
  std::vector<Item> take_items() { return std::move(items_); }

 private:
  const ExampleEncoder& encoder_;
  std::vector<Item> items_;
  std::unordered_map<std::string, std::uint32_t> ids_;
};

class PromptsJob {
 public:
  PromptsJob(const PrepareConfig& config, const Tokenizer& tokenizer, DatasetWriter& writer)
      : config_(config),
        template_(choose_template(config, tokenizer)),
        encoder_(tokenizer, template_, {text_max_length(config), config.add_bos, config.add_eos}),
        catalogue_(encoder_),
        writer_(writer),
        splitter_(config, RowSplitter::Default::random, [this](Split split, const Example& e) { write(split, e); }) {}

  Prepared run();

 private:
  void take(const Json& row, JsonLines& lines);
  void encode(const ParsedRow& row, std::optional<Split> split);
  void write(Split split, const Example& example);
  Json dropped(const JsonLines& lines) const;

  const PrepareConfig& config_;
  PromptTemplate template_;
  ExampleEncoder encoder_;
  OptionCatalogue catalogue_;
  DatasetWriter& writer_;
  RowSplitter splitter_;
  SplitStatistics statistics_;
  std::array<std::int64_t, 6> fates_{};  // by RowFate
  std::int64_t num_too_long_ = 0;
  std::int64_t num_truncated_ = 0;
};

void PromptsJob::take(const Json& row, JsonLines& lines) {
  const ParsedRow parsed = parse_prompt_row(row);
  std::optional<Split> split;
  const std::string problem = parsed.problem.empty() ? parse_split(row, split) : parsed.problem;
  if (!problem.empty()) {
    lines.reject(problem);
    return;
  }
  ++fates_[static_cast<size_t>(parsed.fate)];
  if (parsed.fate == RowFate::usable) encode(parsed, split);
}

void PromptsJob::encode(const ParsedRow& row, std::optional<Split> split) {
  Example example;
  const Fit fit = encoder_.encode_row(row.text, row.options, example);
  if (fit == Fit::too_long) {
    ++num_too_long_;
    return;
  }
  if (fit == Fit::truncated) ++num_truncated_;
  for (const std::string& option : row.options) example.candidates.push_back(catalogue_.id_of(option));
  if (row.gold) example.target = example.candidates[*row.gold];
  example.gold = row.gold;
  splitter_.add(std::move(example), split);
}

void PromptsJob::write(Split split, const Example& example) {
  if (split == Split::train && example.target) catalogue_.count_target(*example.target);
  statistics_.add(split, example);
  writer_.append(std::string(name_of(split)), example);
}

Json PromptsJob::dropped(const JsonLines& lines) const {
  const auto count = [&](RowFate fate) { return fates_[static_cast<size_t>(fate)]; };
  return {{"malformed_lines", lines.num_bad()},
          {"empty_prompt", count(RowFate::empty_prompt)},
          {"empty_output", count(RowFate::empty_output)},
          {"empty_option", count(RowFate::empty_option)},
          {"duplicate_option", count(RowFate::duplicate_option)},
          {"too_long", num_too_long_}};
}

Prepared PromptsJob::run() {
  JsonLines lines(config_.prompts, config_.max_bad_line_share);
  Json row;
  while (lines.next(row)) take(row, lines);
  splitter_.finish();
  require_examples(statistics_, splitter_.is_random() ? splits_by_share(config_) : std::vector<Split>{},
                   dropped(lines));

  Prepared prepared;
  prepared.items = catalogue_.take_items();
  prepared.description = {{"source", "prompts"},
                          {"template", to_json(template_)},
                          {"split_method", splitter_.description()},
                          {"counts",
                           {{"rows", lines.num_lines()},
                            {"examples", statistics_.num_examples()},
                            {"examples_truncated", num_truncated_},
                            {"dropped", dropped(lines)}}},
                          {"lines", Json::array({lines.report()})},
                          {"token_lengths", statistics_.token_lengths()},
                          {"gold_positions", statistics_.gold_positions()}};
  prepared.summary = fmt::format("{} prompts: {} examples ({}), split {}, {} cut in front to {} tokens. Dropped: {}",
                                 lines.num_lines(), statistics_.num_examples(), statistics_.summary(),
                                 splitter_.is_random() ? "at random" : "by the rows' fields", num_truncated_,
                                 text_max_length(config_), list_counts(dropped(lines)));
  return prepared;
}

}  // namespace

Prepared prepare_prompts(const PrepareConfig& config, const Tokenizer& tokenizer, DatasetWriter& writer) {
  return PromptsJob(config, tokenizer, writer).run();
}

}  // namespace allreco::data
