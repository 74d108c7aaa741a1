#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <unordered_set>

#include "core/check.h"
#include "core/log.h"
#include "data/prepare/example_encoder.h"
#include "data/prepare/histories.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/sequences.h"
#include "data/prepare/template_choice.h"

namespace allreco::data {
using core::Json;

namespace {

PromptTemplate template_for(const PrepareConfig& config, const Tokenizer& tokenizer) {
  PromptTemplate result = choose_template(config, tokenizer);
  if (!result.takes_history()) {
    core::user_error(
        "template = {}: it is for ready prompts and has no place for a history; use amazon-next-item or study",
        result.name);
  }
  if (result.shows_options() && config.num_candidates == 0) {
    core::user_error("template = {} shows options, but num_candidates = 0 gives none; use amazon-next-item-open",
                     result.name);
  }
  if (result.shows_options() && result.option_labels == "letters" && config.num_candidates > 26) {
    core::user_error("num_candidates = {}: template {} labels options with letters, which end at 26",
                     config.num_candidates, result.name);
  }
  return result;
}

/// Which split each example belongs to; examples are numbered in the order of the shoppers.
struct SplitPlan {
  TimeBoundaries boundaries;
  std::vector<Split> by_example;  // of a split that is not by time; else empty

  Split of(size_t example_index, std::int64_t timestamp) const {
    return by_example.empty() ? boundaries.split_of(timestamp) : by_example[example_index];
  }
  std::string method = "time";

  /// A split that is not by time has no train period: everything counts as one.
  bool is_in_train_period(std::int64_t timestamp) const {
    return !by_example.empty() || boundaries.split_of(timestamp) == Split::train;
  }
};

struct Drops {
  std::int64_t too_few_negatives = 0;
  std::int64_t too_long = 0;
};

/// Per split, in the order of kSplits.
struct Ties {
  std::array<std::int64_t, kSplits.size()> tied_with_last{};
  std::array<std::int64_t, kSplits.size()> repeats_title{};
};

class ReviewsJob {
 public:
  ReviewsJob(const PrepareConfig& config, const Tokenizer& tokenizer, DatasetWriter& writer)
      : config_(config),
        min_history_(min_history_of(config)),
        template_(template_for(config, tokenizer)),
        encoder_(tokenizer, template_, {text_max_length(config), config.add_bos, config.add_eos, config.seed}),
        writer_(writer) {}

  Prepared run() {
    read();
    plan_splits();
    write_examples();
    require_examples(statistics_, needed_splits(), dropped());
    return {description(), catalogue(), summary()};
  }

 private:
  void read();
  void plan_splits();
  bool has_no_times() const { return !config_.sequences.empty(); }
  std::vector<Split> leave_last_out() const;
  std::vector<Split> needed_splits() const;
  NegativePool negative_pool() const;
  void write_examples();
  void write_example(const HistoryExample& history, Split split);
  Fit encode(const HistoryExample& history, Example& example) const;
  Json dropped() const;
  Json counts() const;
  Json split_method() const;
  Json description() const;
  std::vector<Item> catalogue() const;
  std::string summary() const;

  const PrepareConfig& config_;
  std::int64_t min_history_;
  PromptTemplate template_;
  ExampleEncoder encoder_;
  DatasetWriter& writer_;

  Shoppers data_;
  Json review_lines_;
  Json metadata_lines_;
  std::int64_t num_short_shoppers_ = 0;
  std::int64_t num_short_reviews_ = 0;
  SplitPlan plan_;
  SplitStatistics statistics_;
  Ties ties_;
  Drops drops_;
  std::int64_t num_examples_ = 0;  // before drops
  std::int64_t num_truncated_ = 0;
  std::vector<std::int64_t> target_counts_;  // by item, in train
};

void ReviewsJob::read() {
  if (!config_.sequences.empty()) {
    data_ = read_sequences(config_.sequences, config_.items, config_.max_title_length);
    review_lines_ = {{"file", config_.sequences}, {"malformed", 0}};
    metadata_lines_ = {{"file", config_.items}, {"malformed", 0}};
    target_counts_.resize(data_.catalogue.size());
    return;
  }
  const ReviewFile reviews = read_reviews(config_.reviews, config_.max_bad_line_share, config_.verified_only);
  const std::unordered_set<std::string> wanted(reviews.asins.begin(), reviews.asins.end());
  const TitleRules rules{config_.max_title_length, config_.untitled_items == "describe"};
  const Metadata metadata = read_metadata(config_.metadata, wanted, rules, config_.max_bad_line_share);
  data_ = build_shoppers(reviews, metadata, {config_.min_rating, config_.verified_only});
  review_lines_ = reviews.lines;
  metadata_lines_ = metadata.lines;
  target_counts_.resize(data_.catalogue.size());
}

void ReviewsJob::plan_splits() {
  std::vector<std::int64_t> target_times;
  for (const Shopper& shopper : data_.shoppers) {
    const auto& purchases = shopper.purchases;
    if (std::ssize(purchases) <= min_history_) {
      ++num_short_shoppers_;
      num_short_reviews_ += std::ssize(purchases);
    }
    for (size_t i = static_cast<size_t>(min_history_); i < purchases.size(); ++i) {
      target_times.push_back(purchases[i].timestamp);
    }
  }
  num_examples_ = std::ssize(target_times);
  if (target_times.empty()) require_examples(statistics_, needed_splits(), dropped());
  const std::string method = config_.split != "auto" ? config_.split : has_no_times() ? "leave_last_out" : "time";
  if (method.starts_with("leave_last")) {
    plan_.method = method;
    plan_.by_example = leave_last_out();
  } else if (method == "random") {
    plan_.method = "random";
    plan_.by_example = random_split(num_examples_, config_.validation_share, config_.test_share, config_.seed);
    core::log_warning(
        "split = random: neighbouring examples of one shopper fall into different splits, so accuracy looks better "
        "than it is");
  } else {
    plan_.boundaries = time_boundaries(std::move(target_times), config_.validation_share, config_.test_share);
  }
}

std::vector<Split> ReviewsJob::leave_last_out() const {
  std::vector<Split> splits;
  for (const Shopper& shopper : data_.shoppers) {
    const std::int64_t count = std::ssize(shopper.purchases) - min_history_;
    for (std::int64_t left = count; left > 0; --left) {
      const bool is_validation = left == 2 && plan_.method == "leave_last_two_out";
      splits.push_back(left == 1 ? Split::test : is_validation ? Split::validation : Split::train);
    }
  }
  return splits;
}

std::vector<Split> ReviewsJob::needed_splits() const {
  if (plan_.method == "leave_last_out") return {Split::train, Split::test};
  if (plan_.method == "leave_last_two_out") return {Split::train, Split::validation, Split::test};
  return splits_by_share(config_);
}

NegativePool ReviewsJob::negative_pool() const {
  NegativePool pool{.train_counts = std::vector<std::int64_t>(data_.catalogue.size()),
                    .by_popularity = config_.negatives == "popularity",
                    .is_matched = config_.negatives == "matched"};
  const bool with_newer = config_.negative_items == "existing";
  if (with_newer) pool.first_times.assign(data_.catalogue.size(), std::numeric_limits<std::int64_t>::max());
  for (const Shopper& shopper : data_.shoppers) {
    for (const Purchase& purchase : shopper.purchases) {
      if (plan_.is_in_train_period(purchase.timestamp)) ++pool.train_counts[purchase.item];
      if (with_newer) pool.first_times[purchase.item] = std::min(pool.first_times[purchase.item], purchase.timestamp);
    }
  }
  return pool;
}

void ReviewsJob::write_examples() {
  const NegativeSampler sampler(data_.catalogue, negative_pool(), config_.seed);
  size_t index = 0;
  for (const Shopper& shopper : data_.shoppers) {
    for (HistoryExample& history : examples_of_shopper(shopper, data_.catalogue, min_history_, config_.max_history)) {
      const Split split = plan_.of(index++, history.timestamp);
      if (config_.num_candidates > 0 && !sampler.draw(history, shopper, config_.num_candidates)) {
        ++drops_.too_few_negatives;
      } else {
        write_example(history, split);
      }
    }
  }
}

void ReviewsJob::write_example(const HistoryExample& history, Split split) {
  Example example;
  example.user = history.user;
  if (!has_no_times()) example.timestamp = history.timestamp;
  example.target = history.target;
  example.last_item = history.history.back();
  example.history = history.history;
  example.candidates = history.candidates;
  if (!history.candidates.empty()) example.gold = history.gold;
  const Fit fit = encode(history, example);
  if (fit == Fit::too_long) {
    ++drops_.too_long;
    return;
  }
  if (fit == Fit::truncated) ++num_truncated_;
  if (history.tied_with_last && !has_no_times()) ++ties_.tied_with_last[static_cast<size_t>(split)];
  if (history.repeats_title) ++ties_.repeats_title[static_cast<size_t>(split)];
  if (split == Split::train) ++target_counts_[history.target];
  statistics_.add(split, example);
  writer_.append(std::string(name_of(split)), example);
}

Fit ReviewsJob::encode(const HistoryExample& history, Example& example) const {
  const auto texts_of = [&](const std::vector<std::uint32_t>& items) {
    std::vector<ItemText> texts;
    for (const std::uint32_t item : items) {
      const CatalogueEntry& entry = data_.catalogue[item];
      texts.push_back({entry.title, entry.details.brand, entry.details.category, entry.details.price});
    }
    return texts;
  };
  return encoder_.encode_history(texts_of(history.history), texts_of(history.candidates),
                                 data_.catalogue[history.target].title, example);
}

Json ReviewsJob::dropped() const {
  const ReviewCounts& c = data_.counts;
  return {
      {"malformed_lines", review_lines_["malformed"]},
      {"reviews",
       {{"duplicate_row", c.duplicate_row},
        {"repeated_item", c.repeated_item},
        {"no_metadata", c.no_metadata},
        {"title_missing", c.title_missing},
        {"title_script", c.title_script},
        {"title_markup_only", c.title_markup_only},
        {"below_min_rating", c.below_min_rating},
        {"not_verified", c.not_verified}}},
      {"shoppers", {{"shoppers_with_too_few_purchases", num_short_shoppers_}, {"their_reviews", num_short_reviews_}}},
      {"examples", {{"too_few_negatives", drops_.too_few_negatives}, {"too_long", drops_.too_long}}}};
}

Json ReviewsJob::counts() const {
  return {{"review_rows", data_.counts.rows},
          {"reviews_kept", data_.counts.kept},
          {"shoppers_with_kept_reviews", data_.shoppers.size()},
          {"shoppers_with_examples", std::ssize(data_.shoppers) - num_short_shoppers_},
          {"examples_possible", num_examples_},
          {"examples", statistics_.num_examples()},
          {"examples_truncated", num_truncated_},
          {"dropped", dropped()},
          {"items", data_.catalogue_counts}};
}

Json ReviewsJob::split_method() const {
  if (plan_.method.starts_with("leave_last")) {
    return {{"method", plan_.method},
            {"note", plan_.method == "leave_last_out"
                         ? "each user's last item is for test; what others bought later is in train"
                         : "each user's last item is for test, the one before for validation; what others bought later "
                           "is in train"}};
  }
  Json json = {
      {"method", plan_.method}, {"validation_share", config_.validation_share}, {"test_share", config_.test_share}};
  if (plan_.method == "random") {
    json["seed"] = config_.seed;
    json["note"] =
        "random by example: examples of one shopper are in several splits and the future is known; not comparable with "
        "a split by time";
  } else {
    if (config_.validation_share > 0) json["validation_start"] = plan_.boundaries.validation_start;
    if (config_.test_share > 0) json["test_start"] = plan_.boundaries.test_start;
  }
  return json;
}

Json ReviewsJob::description() const {
  Json tied = Json::object();
  Json repeats = Json::object();
  for (Split split : kSplits) {
    const std::int64_t n = statistics_.num_examples(split);
    if (n == 0) continue;
    const auto share = [&](const auto& counts) {
      return static_cast<double>(counts[static_cast<size_t>(split)]) / static_cast<double>(n);
    };
    tied[name_of(split)] = share(ties_.tied_with_last);
    repeats[name_of(split)] = share(ties_.repeats_title);
  }
  return {{"source", has_no_times() ? "sequences" : "reviews"},
          {"template", to_json(template_)},
          {"split_method", split_method()},
          {"counts", counts()},
          {"lines", {review_lines_, metadata_lines_}},
          {"token_lengths", statistics_.token_lengths()},
          {"candidates",
           {{"num_candidates", config_.num_candidates},
            {"negatives", negatives_of(config_)},
            {"negative_items", config_.negative_items},
            {"seed", config_.seed}}},
          {"gold_positions", statistics_.gold_positions()},
          {"share_of_targets_tied_with_last_item", std::move(tied)},
          {"share_of_targets_with_title_in_history", std::move(repeats)}};
}

std::vector<Item> ReviewsJob::catalogue() const {
  std::vector<Item> items;
  for (const CatalogueEntry& entry : data_.catalogue) {
    const auto id = static_cast<std::uint32_t>(items.size());
    items.push_back({id, entry.asin, entry.title, target_counts_[id], encoder_.encode_answer(entry.title),
                     entry.details.category, entry.details.brand, entry.details.price});
  }
  return items;
}

std::string ReviewsJob::summary() const {
  return fmt::format(
      "{} reviews, {} kept, {} shoppers and {} items: {} examples ({}), split by {}, {} with shortened history. "
      "Dropped: {}",
      data_.counts.rows, data_.counts.kept, std::ssize(data_.shoppers) - num_short_shoppers_, data_.catalogue.size(),
      statistics_.num_examples(), statistics_.summary(), plan_.method, num_truncated_, list_counts(dropped()));
}

}  // namespace

Prepared prepare_reviews(const PrepareConfig& config, const Tokenizer& tokenizer, DatasetWriter& writer) {
  return ReviewsJob(config, tokenizer, writer).run();
}

}  // namespace allreco::data
