// The structs of evaluation.json's part about the whole catalogue.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/json_fields.h"
#include "eval/estimates.h"

namespace allreco::eval {

/// What the kNumRecommended best items of all examples are like.
struct RecommendedReport {
  std::int64_t length = 0;               // of each list, at most
  std::int64_t num_different_items = 0;  // in all lists together
  double coverage = 0;                   // their share of the catalogue
  double share_not_in_history = 0;
  std::optional<double> share_unseen_in_train = {};
  std::optional<double> mean_train_purchases = {};

  template <class Archive>
  void fields(Archive& a) {
    a("length", length);
    a("num_different_items", num_different_items);
    a("coverage", coverage);
    a("share_not_in_history", share_not_in_history);
    a("share_unseen_in_train", share_unseen_in_train);
    a("mean_train_purchases", mean_train_purchases);
  }
};

/// How a scorer ranks the target.
struct CatalogueMetrics {
  double mean_rank = 0;  // mid-rank
  Estimates metrics = {};
  Estimates other_rule = {};  // with items of the history ranked or left out the other way; empty: not known
  RecommendedReport recommended = {};

  template <class Archive>
  void fields(Archive& a) {
    a("mean_rank", mean_rank);
    a("other_rule", other_rule);
    a("recommended", recommended);
    a.inlined(metrics);
  }
};

struct CatalogueScoresReport {
  std::string formula = {};
  CatalogueMetrics values = {};

  template <class Archive>
  void fields(Archive& a) {
    a("formula", formula);
    values.fields(a);
  }
};

struct CatalogueBaselineReport {
  std::string description = {};
  std::optional<std::string> not_applicable = {};
  CatalogueMetrics values = {};

  const Estimates& estimates() const { return values.metrics; }
  template <class Archive>
  void fields(Archive& a) {
    a("description", description);
    a("not_applicable", not_applicable);
    if (!not_applicable) values.fields(a);
  }
};

/// Whether ranks up to `k` are of the search: behind its beams (0: all items were ranked) all items are tied.
inline bool is_within_beams(std::int64_t k, std::int64_t num_beams) { return num_beams == 0 || k <= num_beams; }

struct CatalogueReport {
  std::string ranking = {};  // exhaustive, beam, or none: baselines alone
  std::int64_t num_examples = 0;
  std::int64_t num_examples_left_out = 0;  // their target is not known
  std::int64_t num_items = 0, num_titles = 0;
  std::int64_t num_beams = 0;
  std::int64_t num_tokens_computed = 0, num_tokens_one_by_one = 0;
  std::string history_items = {};
  std::int64_t num_targets_in_history = 0;
  std::optional<std::int64_t> num_targets_unseen_in_train = {};
  std::string ties = {};
  std::string headline = {};  // a name of `scores`
  core::Named<CatalogueScoresReport> scores = {};
  core::Named<CatalogueBaselineReport> baselines = {};

  template <class Archive>
  void fields(Archive& a) {
    a("ranking", ranking);
    a("num_examples", num_examples);
    a("num_examples_left_out", num_examples_left_out);
    a("num_items", num_items);
    a("num_titles", num_titles);
    a("num_beams", num_beams);
    a("num_tokens_computed", num_tokens_computed);
    a("num_tokens_one_by_one", num_tokens_one_by_one);
    a("history_items", history_items);
    a("num_targets_in_history", num_targets_in_history);
    a("num_targets_unseen_in_train", num_targets_unseen_in_train);
    a("ties", ties);
    a("headline", headline);
    a("scores", scores);
    a("baselines", baselines);
  }
};

}  // namespace allreco::eval
