#include "eval/candidate_report.h"

#include <algorithm>

#include "eval/baselines.h"
#include "eval/calibration.h"
#include "eval/list_facts.h"
#include "eval/rank_columns.h"

namespace allreco::eval {

namespace {

using Scores = std::vector<std::vector<double>>;  // [example][candidate]

/// The examples that can be ranked, with the model's scores of each.
struct Ranked {
  std::vector<const EvalExample*> examples = {};
  Scores log_likelihood = {}, per_token = {}, labels = {};
  std::int64_t most_candidates = 0;
  Clusters clusters = {};
  BootstrapOptions bootstrap;
};

Ranked ranked_of(std::span<const EvalExample> examples, const ModelScores& scores, const BootstrapOptions& bootstrap) {
  Ranked ranked{.bootstrap = bootstrap};
  std::vector<std::optional<std::uint64_t>> users;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].candidates.empty()) continue;
    ranked.examples.push_back(&examples[i]);
    if (!scores.titles.empty()) {
      ranked.log_likelihood.push_back(scores.titles[i].log_likelihood);
      ranked.per_token.push_back(scores.titles[i].per_token());
    }
    if (!scores.labels.empty()) ranked.labels.push_back(scores.labels[i].log_likelihood);
    ranked.most_candidates = std::max(ranked.most_candidates, std::ssize(examples[i].candidates));
    users.push_back(examples[i].user);
  }
  ranked.clusters = clusters_of(users);
  return ranked;
}

/// Mean over users of the mean over each user's examples: a user with many examples counts once.
double auc_per_user(const Ranked& ranked, const std::vector<Ranks>& ranks) {
  std::vector<double> sums(static_cast<std::size_t>(ranked.clusters.count)), counts(sums.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const auto user = static_cast<std::size_t>(ranked.clusters.of_example[i]);
    sums[user] += auc(ranks[i]);
    counts[user] += 1;
  }
  for (std::size_t u = 0; u < sums.size(); ++u) sums[u] /= counts[u];
  return mean(sums);
}

double pooled_auc_of(const Ranked& ranked, const Scores& scores) {
  std::vector<double> flat;
  std::vector<bool> is_gold;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < scores[i].size(); ++j) {
      flat.push_back(scores[i][j]);
      is_gold.push_back(j == ranked.examples[i]->gold);
    }
  }
  return pooled_auc(flat, is_gold);
}

std::vector<Ranks> ranks_of_all(const Ranked& ranked, const Scores& scores) {
  std::vector<Ranks> ranks;
  for (std::size_t i = 0; i < scores.size(); ++i) ranks.push_back(ranks_of(scores[i], ranked.examples[i]->gold));
  return ranks;
}

std::vector<std::int64_t> chosen_positions(const Scores& scores, std::int64_t most_candidates) {
  std::vector<std::int64_t> histogram(static_cast<std::size_t>(most_candidates));
  for (const auto& of_example : scores) ++histogram[argmax(of_example)];
  return histogram;
}

/// Adds log_loss and brier; calibration goes into the report.
void add_probabilities(CandidateScoresReport& report, std::vector<Column>& columns, const Ranked& ranked,
                       const Scores& scores, const std::vector<Ranks>& ranks) {
  Column losses{"log_loss", {}}, briers{"brier", {}};
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::vector<double> p = softmax(scores[i]);
    losses.values.push_back(log_loss(scores[i], ranked.examples[i]->gold));
    briers.values.push_back(brier_score(p, ranked.examples[i]->gold));
    claims.push_back({p[argmax(p)], hit_rate(ranks[i], 1)});
  }
  columns.push_back(std::move(losses));
  columns.push_back(std::move(briers));
  report.ece_15_equal_width_bins = expected_calibration_error(claims);
  report.ece_15_equal_mass_bins = expected_calibration_error_equal_mass(claims);
}

CandidateScoresReport scores_report(const Ranked& ranked, const Scores& scores, const char* formula) {
  const std::vector<Ranks> ranks = ranks_of_all(ranked, scores);
  CandidateScoresReport report{.formula = formula};
  std::vector<Column> columns = rank_columns(ranks, ranked.most_candidates);
  add_probabilities(report, columns, ranked, scores, ranks);
  report.auc_per_user = auc_per_user(ranked, ranks);
  report.auc_pooled = pooled_auc_of(ranked, scores);
  report.ranks = summary_of(ranks);
  report.chosen_position_histogram = chosen_positions(scores, ranked.most_candidates);
  report.metrics = estimates_of(std::move(columns), ranked.clusters, ranked.bootstrap);
  return report;
}

BaselineReport baseline_report(const Ranked& ranked, const CandidateBaseline& baseline) {
  BaselineReport report{.description = baseline.description, .not_applicable = baseline.not_applicable};
  if (baseline.not_applicable) return report;
  std::vector<Ranks> ranks;
  for (const EvalExample* example : ranked.examples) {
    ranks.push_back(ranks_of(baseline.scores(*example), example->gold));
  }
  report.ranks = summary_of(ranks);
  report.metrics = estimates_of(rank_columns(ranks, ranked.most_candidates), ranked.clusters, ranked.bootstrap);
  return report;
}

BaselineReport base_model_report(const Ranked& ranked, std::span<const EvalExample> examples,
                                 std::span<const CandidateScores> scores) {
  return baseline_report(
      ranked, {.name = kBaseModel, .description = kBaseModelDescription, .scores = [&](const EvalExample& example) {
                 return scores[static_cast<std::size_t>(&example - examples.data())].log_likelihood;
               }});
}

void add_model(CandidateReport& report, const Ranked& ranked) {
  report.headline = "log_likelihood";
  report.headline_reason =
      "the sum over title and EOS is the probability of that answer among all texts, so it needs no correction; it "
      "favours short titles where the model is unsure, while the mean per token favours long, common ones and is no "
      "probability";
  if (!ranked.examples.front()->eos)
    report.note = "the examples end without EOS: a title's log-likelihood includes all texts that begin with it";
  report.scores = {
      {"log_likelihood", scores_report(ranked, ranked.log_likelihood, "sum of log p over the title's tokens and EOS")},
      {"log_likelihood_per_token",
       scores_report(ranked, ranked.per_token, "the same divided by the number of these tokens")}};
  if (!ranked.labels.empty())
    report.scores.emplace_back(
        "option_labels",
        scores_report(ranked, ranked.labels,
                      "log p of the option's label as the beginning of the answer: for models that answer with it"));
}

}  // namespace

CandidateReport candidate_report(std::span<const EvalExample> examples, const ModelScores& scores,
                                 const std::vector<data::Item>& catalogue,
                                 const std::vector<ItemBaseline>& item_baselines, const BootstrapOptions& bootstrap,
                                 std::vector<std::string>& warnings) {
  const Ranked ranked = ranked_of(examples, scores, bootstrap);
  CandidateReport report{.lists = list_facts(examples, catalogue)};
  report.ties = "accuracy, hit_rate, ndcg and mrr: expectation over random tie-breaking; auc: a tie counts half";
  if (!scores.titles.empty()) add_model(report, ranked);
  for (const CandidateBaseline& baseline : candidate_baselines(examples, catalogue, item_baselines))
    report.baselines.emplace_back(baseline.name, baseline_report(ranked, baseline));
  if (!scores.base.empty()) report.baselines.emplace_back(kBaseModel, base_model_report(ranked, examples, scores.base));
  warn_of_lists(report.lists, warnings);
  if (scores.titles.empty()) return report;
  report.yes_no = yes_no_report(examples, scores.titles, catalogue);
  warn_of_baselines("accuracy", report.scores.front().second.metrics, report.baselines, "accuracy", warnings);
  return report;
}

}  // namespace allreco::eval
