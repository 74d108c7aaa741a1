// Ranking the whole catalogue: how a model ranks what was bought among all items of items.jsonl.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/eval_example.h"
#include "eval/metrics.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

struct CatalogueOptions {
  std::string ranking = "candidates";
  std::int64_t num_beams = 20;
  std::string history_items = "rank";

  bool ranks_catalogue() const { return ranking == "exhaustive" || ranking == "beam"; }
  bool excludes_history() const { return history_items == "exclude"; }

  std::vector<core::Option> options() {
    return {{"ranking",
             ranking,
             {"candidates", "exhaustive", "beam", "none"},
             "candidates: the examples' own lists. exhaustive: also every title of the catalogue. beam: also the "
             "num_beams best titles that a beam search over the catalogue finds. none: no ranking."},
            {"num_beams", num_beams, core::between(1, 1e6),
             "Hypotheses of a beam search; as many as there are titles, or more: the same as exhaustive."},
            {"history_items",
             history_items,
             {"rank", "exclude"},
             "Whether items that stand in the history are ranked with the others; both are computed, this one is "
             "shown first."}};
  }
};

/// How many of the best items are kept of each example.
inline constexpr std::int64_t kNumRecommended = 10;

/// One example under one way of scoring.
struct CatalogueRank {
  Ranks among_all;                         // every item is ranked
  Ranks without_history;                   // without those of the history, but the target
  std::vector<std::uint32_t> recommended;  // the best items by the rule that was asked for; equal scores by id
};

/// How log-likelihoods become scores.
struct CatalogueKind {
  std::string name;
  std::string formula;
};

struct CatalogueRanking {
  std::vector<CatalogueKind> kinds;               // the first is the headline
  std::vector<std::size_t> examples;              // indices of those that were ranked: their target is known
  std::vector<std::vector<CatalogueRank>> ranks;  // [kind][place in `examples`]
  std::vector<CatalogueRank> base_ranks;          // of the model without its adapter, by the first kind; or empty
  bool knows_histories = false;                   // else without_history is among_all
  std::int64_t num_targets_in_history = 0;
  std::int64_t num_items = 0, num_titles = 0;  // titles: different ones, as tokens
  std::int64_t num_beams = 0;                  // 0: exhaustive
  std::int64_t num_tokens_computed = 0;        // through the model
  std::int64_t num_tokens_one_by_one = 0;      // of every prompt with every title, each alone
  std::optional<std::string> not_applicable;   // why nothing was ranked
};

/// Collective; the same on every rank and for every world size. Every title is scored by the tokens of items.jsonl and
/// the EOS that ends the example's answer (if one does), as candidates are; items with equal tokens tie exactly. Beam:
/// items that the search does not find tie below all that it finds. Memory: that of a forward pass of
/// `max_tokens_per_batch`, of one example's scores, and of a few numbers an example. UserError for an empty prompt,
/// Fault for scores that are not finite.
CatalogueRanking rank_catalogue(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue,
                                const CatalogueOptions& options, std::int64_t max_tokens_per_batch);

/// What rank_catalogue knows before it scores: which examples can be ranked. No kinds, no ranks.
CatalogueRanking rankable_examples(const data::Dataset& dataset, std::span<const EvalExample> examples,
                                   const std::vector<data::Item>& catalogue);

/// Where the target stands among items with `scores` (-infinity: not found) when those marked in `left_out`, but the
/// target, are not ranked. Pure.
Ranks catalogue_ranks(std::span<const double> scores, std::uint32_t target, const std::vector<bool>& left_out);

/// The `count` items with the highest scores, best first, equal ones by id; not those left out or not found. Pure.
std::vector<std::uint32_t> best_items(std::span<const double> scores, std::int64_t count,
                                      const std::vector<bool>& left_out);

}  // namespace allreco::eval
