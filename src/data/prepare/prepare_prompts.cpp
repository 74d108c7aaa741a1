#include <array>
#include <map>
#include <unordered_map>

#include "core/check.h"
#include "core/log.h"
#include "data/input/json_lines.h"
#include "data/input/prompt_rows.h"
#include "data/input/row_splitter.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/redrawn_options.h"
#include "data/prompts/example_encoder.h"
#include "data/prompts/option_finder.h"
#include "data/prompts/template_choice.h"

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
        splitter_(config, RowSplitter::Default::random,
                  [this](Split split, const Example& e) { redraws_ ? splits_.push_back(split) : write(split, e); }),
        redraws_(negatives_of(config) == "matched") {
    if (config.option_pattern == "labels" || (config.option_pattern.empty() && redraws_))
      finder_ = OptionFinder::by_labels(template_);
    else if (!config.option_pattern.empty())
      finder_ = OptionFinder::by_pattern(config.option_pattern);
  }

  Prepared run();

 private:
  void take(const Json& row, JsonLines& lines);
  std::string unlike_first(const ParsedRow& row) const;
  void find_options(ParsedRow& row);
  std::optional<Example> encoded(const ParsedRow& row);
  void redraw();
  void write(Split split, const Example& example);
  Json dropped(const JsonLines& lines) const;

  const PrepareConfig& config_;
  PromptTemplate template_;
  ExampleEncoder encoder_;
  OptionCatalogue catalogue_;
  DatasetWriter& writer_;
  RowSplitter splitter_;
  SplitStatistics statistics_;
  std::optional<OptionFinder> finder_;
  bool redraws_;
  bool has_user_ = false, has_timestamp_ = false;  // whether rows have them, as the first one does
  std::vector<ParsedRow> rows_;                    // that wait for their options to be redrawn, and
  std::vector<Split> splits_;                      // what they are for
  std::array<std::int64_t, 6> fates_{};            // by RowFate
  std::array<std::int64_t, 5> redraws_by_fate_{};  // by RedrawnOptions::Fate
  static constexpr size_t kMostUnread = 20;
  std::map<std::string, std::int64_t>
      unread_;                      // fields of rows that prepare does not read, with how many rows have them
  std::int64_t num_found_ = 0;      // rows whose options their text shows
  std::int64_t num_not_found_ = 0;  // rows without options, where they were looked for
  std::int64_t num_too_long_ = 0;
  std::int64_t num_truncated_ = 0;
};

void PromptsJob::take(const Json& row, JsonLines& lines) {
  for (const std::string& name : unread_fields(row))
    if (unread_.contains(name) || unread_.size() < kMostUnread) ++unread_[name];
  ParsedRow parsed = parse_prompt_row(row);
  std::optional<Split> split;
  std::string problem = parsed.problem.empty() ? parse_split(row, split) : parsed.problem;
  if (problem.empty() && fates_ == decltype(fates_){}) {
    has_user_ = parsed.user.has_value();
    has_timestamp_ = parsed.timestamp.has_value();
  }
  if (problem.empty()) problem = unlike_first(parsed);
  if (!problem.empty()) {
    lines.reject(problem);
    return;
  }
  ++fates_[static_cast<size_t>(parsed.fate)];
  if (parsed.fate != RowFate::usable) return;
  if (finder_ && parsed.options.empty()) find_options(parsed);
  if (redraws_) {
    rows_.push_back(std::move(parsed));
    Example only_to_be_split;
    only_to_be_split.user = rows_.back().user;
    only_to_be_split.timestamp = rows_.back().timestamp;
    splitter_.add(std::move(only_to_be_split), split);
  } else if (auto example = encoded(parsed)) {
    splitter_.add(*std::move(example), split);
  }
}

/// All examples of a dataset have a user, or none has; the same of times.
std::string PromptsJob::unlike_first(const ParsedRow& row) const {
  const auto problem = [](bool first_has, bool has, const char* name) {
    if (first_has == has) return std::string();
    return has ? fmt::format("{} in it, which the first row lacks", name)
               : fmt::format("no {} in it, which the first row has", name);
  };
  const std::string about_user = problem(has_user_, row.user.has_value(), "user");
  return about_user.empty() ? problem(has_timestamp_, row.timestamp.has_value(), "timestamp") : about_user;
}

/// A row whose output is not word for word among the options that it shows keeps none.
void PromptsJob::find_options(ParsedRow& row) {
  auto found = finder_->find(row.text.input);
  if (!found) found = finder_->find(row.text.instruction);
  if (found && choose_options(row, std::move(found->options)))
    ++num_found_;
  else
    ++num_not_found_;
}

std::optional<Example> PromptsJob::encoded(const ParsedRow& row) {
  Example example;
  example.user = row.user;
  example.timestamp = row.timestamp;
  const Fit fit = encoder_.encode_row(row.text, row.options, example);
  if (fit == Fit::too_long) {
    ++num_too_long_;
    return std::nullopt;
  }
  if (fit == Fit::truncated) ++num_truncated_;
  for (const std::string& option : row.options) example.candidates.push_back(catalogue_.id_of(option));
  if (row.gold) example.target = example.candidates[*row.gold];
  example.gold = row.gold;
  return example;
}

void PromptsJob::redraw() {
  const RedrawnOptions redrawn(rows_, splits_, {config_.max_title_length, config_.seed});
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto fate = redrawn.redraw(i, rows_[i]);
    ++redraws_by_fate_[static_cast<size_t>(fate)];
    if (fate != RedrawnOptions::Fate::redrawn) continue;
    if (const auto example = encoded(rows_[i])) write(splits_[i], *example);
  }
}

void PromptsJob::write(Split split, const Example& example) {
  if (split == Split::train && example.target) catalogue_.count_target(*example.target);
  statistics_.add(split, example);
  writer_.append(std::string(name_of(split)), example);
}

Json PromptsJob::dropped(const JsonLines& lines) const {
  const auto count = [&](RowFate fate) { return fates_[static_cast<size_t>(fate)]; };
  const auto not_redrawn = [&](RedrawnOptions::Fate fate) { return redraws_by_fate_[static_cast<size_t>(fate)]; };
  return {{"malformed_lines", lines.num_bad()},
          {"empty_prompt", count(RowFate::empty_prompt)},
          {"empty_output", count(RowFate::empty_output)},
          {"empty_option", count(RowFate::empty_option)},
          {"duplicate_option", count(RowFate::duplicate_option)},
          {"no_options", not_redrawn(RedrawnOptions::Fate::no_options)},
          {"options_not_shown", not_redrawn(RedrawnOptions::Fate::options_not_shown)},
          {"unusable_output", not_redrawn(RedrawnOptions::Fate::unusable_output)},
          {"too_few_outputs", not_redrawn(RedrawnOptions::Fate::too_few_outputs)},
          {"too_long", num_too_long_}};
}

Prepared PromptsJob::run() {
  JsonLines lines(config_.prompts, config_.max_bad_line_share);
  Json row;
  while (lines.next(row)) take(row, lines);
  splitter_.finish();
  if (redraws_) redraw();
  require_examples(statistics_, splitter_.needed_splits(), dropped(lines));

  if (!unread_.empty()) core::log_warning("fields of rows that are not read: {}", list_counts(Json(unread_)));
  Prepared prepared;
  prepared.items = catalogue_.take_items();
  prepared.description = {{"source", "prompts"},
                          {"template", to_json(template_)},
                          {"split_method", splitter_.description()},
                          {"counts",
                           {{"rows", lines.num_lines()},
                            {"examples", statistics_.num_examples()},
                            {"examples_truncated", num_truncated_},
                            {"unread_fields", unread_},
                            {"options_found_in_prompt", num_found_},
                            {"options_looked_for_in_vain", num_not_found_},
                            {"dropped", dropped(lines)}}},
                          {"lines", Json::array({lines.report()})},
                          {"candidates", {{"negatives", negatives_of(config_)}, {"seed", config_.seed}}},
                          {"token_lengths", statistics_.token_lengths()},
                          {"gold_positions", statistics_.gold_positions()}};
  prepared.summary = fmt::format("{} prompts: {} examples ({}), split {}, {} cut in front to {} tokens. Dropped: {}",
                                 lines.num_lines(), statistics_.num_examples(), statistics_.summary(), splitter_.how(),
                                 num_truncated_, text_max_length(config_), list_counts(dropped(lines)));
  if (finder_)
    prepared.summary += fmt::format(". Options found in the text of {} rows, not in {}", num_found_, num_not_found_);
  return prepared;
}

}  // namespace

Prepared prepare_prompts(const PrepareConfig& config, const Tokenizer& tokenizer, DatasetWriter& writer) {
  return PromptsJob(config, tokenizer, writer).run();
}

}  // namespace allreco::data
