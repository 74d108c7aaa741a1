// From reviews, or sequences, to a dataset, on all ranks: shoppers and catalogue (shopper_intake), splits (split_plan),
// examples (example_shares, example_maker), shards (shard_assembly).
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "data/input/sequences.h"
#include "data/prepare/examples/example_maker.h"
#include "data/prepare/examples/train_sequences.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/shard_assembly.h"
#include "data/prepare/shoppers/shopper_intake.h"
#include "data/prompts/template_choice.h"

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

class ReviewsJob {
 public:
  ReviewsJob(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
             const DatasetPlace& place)
      : config_(config),
        context_(context),
        place_(place),
        template_(template_for(config, tokenizer)),
        encoder_(tokenizer, template_, {text_max_length(config), config.add_bos, config.add_eos, config.seed}),
        kept_(context.memory) {}

  Prepared run();

 private:
  void read_reviews();
  void read_sequences();
  void make_examples(const SplitPlan& plan);
  bool has_times() const { return config_.sequences.empty(); }
  void say_visibility() const;
  Json dropped(const PlanCounts& plan) const;
  Json counts(const PlanCounts& plan) const;
  Json description(const SplitPlan& plan) const;
  void write_catalogue() const;
  std::string summary(const SplitPlan& plan) const;

  const PrepareConfig& config_;
  const PrepareContext& context_;
  const DatasetPlace& place_;
  PromptTemplate template_;
  ExampleEncoder encoder_;

  KeptShoppers kept_;
  Json review_lines_;
  Json metadata_lines_;
  Visibility visibility_;
  ExampleCounts made_;
};

Prepared ReviewsJob::run() {
  has_times() ? read_reviews() : read_sequences();
  PrepareProgress& progress = context_.progress;
  const SplitPlan plan = progress.timed("plan", [&] { return SplitPlan(context_, config_, kept_.store); });
  if (plan.counts().possible == 0) require_examples(made_.statistics, {}, dropped(plan.counts()));
  visibility_ =
      progress.timed("plan", [&] { return count_visibility(context_.ranks, plan, kept_.store, config_.max_history); });
  say_visibility();
  make_examples(plan);
  require_examples(made_.statistics, plan.needed_splits(), dropped(plan.counts()));
  progress.timed("items", [&] {
    write_catalogue();
    write_train_sequences(context_, place_.staging, plan, kept_.store, place_.writer);
  });
  if (!context_.ranks.is_leader()) return {};
  return {description(plan), summary(plan)};
}

void ReviewsJob::read_reviews() {
  ShopperIntake intake = take_in_shoppers(context_, config_);
  kept_ = std::move(intake.kept);
  review_lines_ = std::move(intake.review_lines);
  metadata_lines_ = std::move(intake.metadata_lines);
}

/// Every rank reads all of them, and keeps its share, of about as many purchases as the others'.
void ReviewsJob::read_sequences() {
  context_.ranks.enter("read");
  Shoppers all = data::read_sequences(config_.sequences, config_.items, config_.max_title_length);
  review_lines_ = {{"file", config_.sequences}, {"malformed", 0}};
  metadata_lines_ = {{"file", config_.items}, {"malformed", 0}};
  const auto num_ranks = static_cast<std::int64_t>(context_.ranks.size());
  std::int64_t sum = 0;
  for (const Shopper& shopper : all.shoppers) {
    if (sum * num_ranks / all.counts.kept == context_.ranks.rank()) kept_.store.append(shopper);
    sum += std::ssize(shopper.purchases);
  }
  kept_.catalogue = std::move(all.catalogue);
  kept_.counts = all.counts;
  kept_.catalogue_counts = std::move(all.catalogue_counts);
}

void ReviewsJob::say_visibility() const {
  if (!context_.ranks.is_leader()) return;
  const Json told = visibility_.description(has_times());
  const auto share = told.find("share_of_test_targets_before_a_train_target");
  if (share != told.end() && share->get<double>() > 0)
    core::log_info("{:.1f} % of the test targets were bought before the newest train target: train knows their future",
                   100 * share->get<double>());
}

void ReviewsJob::make_examples(const SplitPlan& plan) {
  context_.ranks.enter("encode");
  PrepareProgress& progress = context_.progress;
  const NegativePool pool = progress.timed("plan", [&] { return negative_pool(context_.ranks, config_, kept_, plan); });
  const ExampleShares shares = progress.timed("hand over", [&] {
    return ExampleShares(context_, plan, kept_.store, {config_.max_history, config_.num_candidates});
  });
  const ExampleMaker maker(config_, encoder_, kept_, pool);
  std::vector<ExamplePartWriter> parts = open_parts(place_.staging, context_.ranks.rank());
  progress.begin("examples", static_cast<double>(shares.num_examples()), "examples", 1, context_.ranks.size());
  made_ = progress.timed("encode", [&] { return maker.run(context_, shares, parts); });
  progress.end();
  progress.timed("wait for others", [&] { made_.join(context_.ranks); });
  progress.timed("write", [&] {
    assemble_shards(context_, place_.staging, parts, place_.identity, config_.examples_per_shard, place_.writer);
  });
}

Json ReviewsJob::dropped(const PlanCounts& plan) const {
  const ReviewCounts& c = kept_.counts;
  Json reviews = {{"duplicate_row", c.duplicate_row},       {"repeated_item", c.repeated_item},
                  {"no_metadata", c.no_metadata},           {"title_missing", c.title_missing},
                  {"title_script", c.title_script},         {"title_markup_only", c.title_markup_only},
                  {"below_min_rating", c.below_min_rating}, {"not_verified", c.not_verified}};
  if (!kept_.k_core.is_null()) reviews["below_core"] = c.below_core;
  return {
      {"malformed_lines", review_lines_["malformed"]},
      {"reviews", std::move(reviews)},
      {"shoppers", {{"shoppers_with_too_few_purchases", plan.short_shoppers}, {"their_reviews", plan.short_reviews}}},
      {"examples", {{"too_few_negatives", made_.too_few_negatives}, {"too_long", made_.too_long}}}};
}

Json ReviewsJob::counts(const PlanCounts& plan) const {
  Json json = {{"review_rows", kept_.counts.rows},
               {"reviews_kept", kept_.counts.kept},
               {"shoppers_with_kept_reviews", plan.shoppers},
               {"shoppers_with_examples", plan.shoppers - plan.short_shoppers},
               {"examples_possible", plan.possible},
               {"examples", made_.statistics.num_examples()},
               {"examples_truncated", made_.truncated},
               {"dropped", dropped(plan)},
               {"items", kept_.catalogue_counts}};
  if (!kept_.k_core.is_null()) json["k_core_rounds"] = kept_.k_core;
  if (negatives_of(config_) == "same_category") json["examples_with_other_categories"] = made_.other_categories;
  return json;
}

Json ReviewsJob::description(const SplitPlan& plan) const {
  return {{"source", has_times() ? "reviews" : "sequences"},
          {"template", to_json(template_)},
          {"split_method", plan.description()},
          {"counts", counts(plan.counts())},
          {"lines", {review_lines_, metadata_lines_}},
          {"token_lengths", made_.statistics.token_lengths()},
          {"candidates",
           {{"num_candidates", config_.num_candidates},
            {"negatives", negatives_of(config_)},
            {"negative_items", config_.negative_items},
            {"seed", config_.seed}}},
          {"gold_positions", made_.statistics.gold_positions()},
          {"share_of_targets_tied_with_last_item", made_.shares(made_.tied_with_last)},
          {"share_of_targets_with_title_in_history", made_.shares(made_.repeats_title)},
          {"visibility", visibility_.description(has_times())}};
}

/// Each rank writes a part.
void ReviewsJob::write_catalogue() const {
  const auto item_at = [&](std::size_t i) -> Item {
    const CatalogueEntry& entry = kept_.catalogue[i];
    return {static_cast<std::uint32_t>(i),
            entry.asin,
            entry.title,
            made_.target_counts[i],
            encoder_.encode_answer(entry.title),
            entry.details.category,
            entry.details.brand,
            entry.details.price};
  };
  assemble_catalogue(context_, place_.staging, kept_.catalogue.size(), item_at, place_.writer);
}

std::string ReviewsJob::summary(const SplitPlan& plan) const {
  const PlanCounts& counts = plan.counts();
  return fmt::format(
      "{} reviews, {} kept, {} shoppers and {} items: {} examples ({}), split by {}, {} with shortened history. "
      "Dropped: {}",
      kept_.counts.rows, kept_.counts.kept, counts.shoppers - counts.short_shoppers, kept_.catalogue.size(),
      made_.statistics.num_examples(), made_.statistics.summary(), plan.method(), made_.truncated,
      list_counts(dropped(counts)));
}

}  // namespace

Prepared prepare_reviews(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
                         const DatasetPlace& place) {
  return ReviewsJob(config, tokenizer, context, place).run();
}

}  // namespace allreco::data
