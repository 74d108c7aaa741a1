// Ready prompts to a dataset, on all ranks: rows are read and shared out (prompt_intake), encoded on all threads, and
// wait for their split (row_examples).
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "core/ordered_work.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/rows/prompt_intake.h"
#include "data/prepare/rows/redrawn_options.h"
#include "data/prepare/rows/row_examples.h"
#include "data/prepare/rows/text_numbers.h"
#include "data/prepare/shard_assembly.h"
#include "data/prompts/example_encoder.h"
#include "data/prompts/option_finder.h"
#include "data/prompts/template_choice.h"

namespace allreco::data {
using core::Json;

namespace {

/// What is counted of rows, each on one rank.
struct PromptCounts {
  std::array<std::int64_t, RedrawnOptions::kFates> redraws{};  // by RedrawnOptions::Fate
  std::int64_t too_long = 0, truncated = 0;

  void add(const PromptCounts& other) {
    for (std::size_t fate = 0; fate < redraws.size(); ++fate) redraws[fate] += other.redraws[fate];
    too_long += other.too_long;
    truncated += other.truncated;
  }
  void join(PrepareRanks& ranks) {
    std::vector<std::int64_t> values(redraws.begin(), redraws.end());
    values.insert(values.end(), {too_long, truncated});
    ranks.all_sum(values);
    std::copy_n(values.begin(), redraws.size(), redraws.begin());
    too_long = values[redraws.size()];
    truncated = values[redraws.size() + 1];
  }
};

std::optional<OptionFinder> option_finder(const PrepareConfig& config, const PromptTemplate& prompt_template) {
  const bool by_default = config.option_pattern.empty() && negatives_of(config) == "matched";
  if (config.option_pattern == "labels" || by_default) return OptionFinder::by_labels(prompt_template);
  if (config.option_pattern.empty()) return std::nullopt;
  return OptionFinder::by_pattern(config.option_pattern);
}

class PromptsJob {
 public:
  PromptsJob(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
             const DatasetPlace& place)
      : config_(config),
        context_(context),
        place_(place),
        template_(choose_template(config, tokenizer)),
        encoder_(tokenizer, template_, {text_max_length(config), config.add_bos, config.add_eos}),
        finder_(option_finder(config, template_)),
        intake_(context, config, finder_ ? &*finder_ : nullptr),
        splits_(config, RowSplits::Default::random),
        examples_(context, place) {
    if (negatives_of(config) == "matched") redrawn_.emplace(RedrawOptions{config.max_title_length, config.seed});
  }

  Prepared run();

 private:
  struct Encoded;
  struct Made;

  void deal();
  void deal_rows();
  void encode();
  Made encoded(std::vector<Encoded>& rows) const;
  void take(Made& made);
  void write();
  Json dropped() const;
  Prepared prepared() const;

  const PrepareConfig& config_;
  const PrepareContext& context_;
  const DatasetPlace& place_;
  PromptTemplate template_;
  ExampleEncoder encoder_;
  std::optional<OptionFinder> finder_;
  PromptIntake intake_;
  std::optional<RedrawnOptions> redrawn_;
  RowSplits splits_;  // of rows where options are redrawn, else of examples
  RowExamples examples_;
  std::vector<Split> split_of_example_;     // where options are redrawn
  TextNumbers options_;                     // the catalogue
  std::vector<std::int64_t> train_counts_;  // by its number
  SplitStatistics statistics_;
  PromptCounts counts_;
};

Prepared PromptsJob::run() {
  PrepareProgress& progress = context_.progress;
  intake_.read();
  context_.ranks.enter("encode");
  if (redrawn_) progress.timed("plan", [&] { deal_rows(); });
  progress.timed("encode", [&] { encode(); });
  progress.timed("wait for others", [&] {
    counts_.join(context_.ranks);
    if (!redrawn_) deal();
  });
  progress.timed("write", [&] { write(); });
  require_examples(statistics_, splits_.needed_splits(), dropped());
  return context_.ranks.is_leader() ? prepared() : Prepared{};
}

void PromptsJob::deal() {
  splits_.deal(context_.ranks, [this](std::uint64_t place) { return intake_.line_of(place); });
}

/// Options are drawn by what train has, so the rows' splits come first.
void PromptsJob::deal_rows() {
  intake_.for_each([&](PromptRecord&& record) { splits_.add(key_of_prompt(record)); });
  deal();
  std::size_t row = 0;
  intake_.for_each([&](PromptRecord&& record) { redrawn_->add(record.row, splits_.of(row++)); });
  redrawn_->join(context_.ranks);
}

struct PromptsJob::Encoded {
  PromptRecord record;
  std::size_t row = 0;  // of this rank
  Example example = {};
};

struct PromptsJob::Made {
  std::vector<Encoded> rows;  // that became examples
  PromptCounts counts;
};

PromptsJob::Made PromptsJob::encoded(std::vector<Encoded>& rows) const {
  Made made;
  for (Encoded& next : rows) {
    ParsedRow& row = next.record.row;
    if (redrawn_) {
      const RedrawnOptions::Fate fate = redrawn_->redraw(next.row, row);
      ++made.counts.redraws[static_cast<std::size_t>(fate)];
      if (fate != RedrawnOptions::Fate::redrawn) continue;
    }
    next.example.user = row.user;
    next.example.timestamp = row.timestamp;
    next.example.gold = row.gold;
    const Fit fit = encoder_.encode_row(row.text, row.options, next.example);
    if (fit == Fit::too_long) {
      ++made.counts.too_long;
      continue;
    }
    if (fit == Fit::truncated) ++made.counts.truncated;
    made.rows.push_back(std::move(next));
  }
  return made;
}

void PromptsJob::encode() {
  constexpr std::size_t kRowsAtOnce = 32, kWaitingPerThread = 8;
  core::OrderedWork<std::vector<Encoded>, Made> work(
      context_.num_threads, kWaitingPerThread * static_cast<std::size_t>(context_.num_threads),
      [this](std::vector<Encoded>& rows) { return encoded(rows); }, [this](Made& made) { take(made); });
  std::vector<Encoded> rows;
  std::size_t row = 0;
  intake_.for_each([&](PromptRecord&& record) {
    rows.push_back({std::move(record), row++});
    if (rows.size() == kRowsAtOnce) work.push(std::exchange(rows, {}));
  });
  if (!rows.empty()) work.push(std::move(rows));
  work.finish();
}

void PromptsJob::take(Made& made) {
  std::string packed;
  for (Encoded& encoded : made.rows) {
    const ParsedRow& row = encoded.record.row;
    for (const std::string& option : row.options) encoded.example.candidates.push_back(options_.number_of(option));
    if (row.gold) encoded.example.target = encoded.example.candidates[*row.gold];
    pack_example(encoded.example, packed);
    if (redrawn_)
      split_of_example_.push_back(splits_.of(encoded.row));
    else
      splits_.add(key_of_prompt(encoded.record));
  }
  examples_.append(packed);
  counts_.add(made.counts);
  context_.ranks.leave_if_peer_failed();
  core::throw_if_interrupted();
}

void PromptsJob::write() {
  options_.join(context_.ranks);
  train_counts_.resize(options_.texts().size());
  const auto split_of = [&](std::size_t i) { return redrawn_ ? split_of_example_[i] : splits_.of(i); };
  statistics_ = examples_.write(config_.examples_per_shard, split_of, [&](Split split, Example& example) {
    for (std::uint32_t& option : example.candidates) option = options_.joined(option);
    if (!example.target) return;
    example.target = options_.joined(*example.target);
    train_counts_[*example.target] += split == Split::train;
  });
  context_.ranks.all_sum(train_counts_);
  const auto item_at = [&](std::size_t i) -> Item {
    const std::string& title = options_.texts()[i];
    return {static_cast<std::uint32_t>(i), "", title, train_counts_[i], encoder_.encode_answer(title)};
  };
  assemble_catalogue(context_, place_.staging, options_.texts().size(), item_at, place_.writer);
}

Json PromptsJob::dropped() const {
  const auto not_redrawn = [&](RedrawnOptions::Fate fate) { return counts_.redraws[static_cast<std::size_t>(fate)]; };
  return {{"malformed_lines", intake_.num_malformed()},
          {"empty_prompt", intake_.num_of(RowFate::empty_prompt)},
          {"empty_output", intake_.num_of(RowFate::empty_output)},
          {"empty_option", intake_.num_of(RowFate::empty_option)},
          {"duplicate_option", intake_.num_of(RowFate::duplicate_option)},
          {"no_options", not_redrawn(RedrawnOptions::Fate::no_options)},
          {"options_not_shown", not_redrawn(RedrawnOptions::Fate::options_not_shown)},
          {"unusable_output", not_redrawn(RedrawnOptions::Fate::unusable_output)},
          {"too_few_outputs", not_redrawn(RedrawnOptions::Fate::too_few_outputs)},
          {"too_long", counts_.too_long}};
}

Prepared PromptsJob::prepared() const {
  if (!intake_.unread().rows().empty())
    core::log_warning("fields of rows that are not read: {}", list_counts(Json(intake_.unread().rows())));
  Prepared prepared;
  prepared.description = {{"source", "prompts"},
                          {"template", to_json(template_)},
                          {"split_method", splits_.description()},
                          {"counts",
                           {{"rows", intake_.num_rows()},
                            {"examples", statistics_.num_examples()},
                            {"examples_truncated", counts_.truncated},
                            {"unread_fields", intake_.unread().rows()},
                            {"options_found_in_prompt", intake_.num_found()},
                            {"options_looked_for_in_vain", intake_.num_not_found()},
                            {"dropped", dropped()}}},
                          {"lines", Json::array({intake_.report()})},
                          {"candidates", {{"negatives", negatives_of(config_)}, {"seed", config_.seed}}},
                          {"token_lengths", statistics_.token_lengths()},
                          {"gold_positions", statistics_.gold_positions()}};
  prepared.summary = fmt::format("{} prompts: {} examples ({}), split {}, {} cut in front to {} tokens. Dropped: {}",
                                 intake_.num_rows(), statistics_.num_examples(), statistics_.summary(), splits_.how(),
                                 counts_.truncated, text_max_length(config_), list_counts(dropped()));
  if (finder_)
    prepared.summary +=
        fmt::format(". Options found in the text of {} rows, not in {}", intake_.num_found(), intake_.num_not_found());
  return prepared;
}

}  // namespace

Prepared prepare_prompts(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
                         const DatasetPlace& place) {
  return PromptsJob(config, tokenizer, context, place).run();
}

}  // namespace allreco::data
