#include "eval/candidate_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "eval/baselines.h"
#include "eval/calibration.h"
#include "eval/estimates.h"
#include "eval/metrics.h"

namespace allreco::eval {

namespace {

using core::Json;

constexpr std::int64_t kCutoffs[] = {2, 3, 5, 10, 20, 50};

/// The examples that can be ranked, with the model's scores of each.
struct Ranked {
  std::vector<const EvalExample*> examples;
  std::vector<std::vector<double>> log_likelihood;
  std::vector<std::vector<double>> per_token;
  std::int64_t most_candidates = 0;
};

Ranked ranked_of(std::span<const EvalExample> examples, std::span<const CandidateScores> scores) {
  Ranked ranked;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].candidates.empty()) continue;
    ranked.examples.push_back(&examples[i]);
    ranked.log_likelihood.push_back(scores[i].log_likelihood);
    ranked.per_token.push_back(scores[i].per_token());
    ranked.most_candidates = std::max(ranked.most_candidates, std::ssize(examples[i].candidates));
  }
  return ranked;
}

template <class F>
std::vector<double> of_ranks(const std::vector<Ranks>& ranks, const F& metric) {
  std::vector<double> values;
  for (const Ranks& r : ranks) values.push_back(metric(r));
  return values;
}

void add_ranking_metrics(EstimateTable& table, const std::string& at, const std::vector<Ranks>& ranks,
                         std::int64_t most_candidates) {
  table.add(at + "/accuracy", of_ranks(ranks, [](const Ranks& r) { return hit_rate(r, 1); }), /*is_share=*/true);
  for (std::int64_t k : kCutoffs) {
    if (k >= most_candidates) break;
    table.add(at + fmt::format("/hit_rate@{}", k), of_ranks(ranks, [k](const Ranks& r) { return hit_rate(r, k); }));
    table.add(at + fmt::format("/ndcg@{}", k), of_ranks(ranks, [k](const Ranks& r) { return ndcg(r, k); }));
  }
  table.add(at + "/mrr", of_ranks(ranks, [](const Ranks& r) { return reciprocal_rank(r); }));
  table.add(at + "/auc", of_ranks(ranks, [](const Ranks& r) { return auc(r); }));
}

Json rank_summary(const std::vector<Ranks>& ranks) {
  const auto mean_of = [&](const auto& metric) { return mean(of_ranks(ranks, metric)); };
  return {{"mid", mean_of([](const Ranks& r) { return r.mid(); })},
          {"optimistic", mean_of([](const Ranks& r) { return static_cast<double>(r.optimistic()); })},
          {"pessimistic", mean_of([](const Ranks& r) { return static_cast<double>(r.pessimistic()); })},
          {"accuracy_if_ties_count_as_right", mean_of([](const Ranks& r) { return r.optimistic() == 1 ? 1.0 : 0.0; })},
          {"accuracy_if_ties_count_as_wrong", mean_of([](const Ranks& r) { return r.pessimistic() == 1 ? 1.0 : 0.0; })},
          {"examples_with_ties",
           std::count_if(ranks.begin(), ranks.end(), [](const Ranks& r) { return r.num_equal > 0; })}};
}

/// Mean over users of the mean over each user's examples: a user with many examples counts once.
double auc_per_user(const Ranked& ranked, const std::vector<Ranks>& ranks) {
  std::vector<std::optional<std::uint64_t>> users;
  for (const EvalExample* example : ranked.examples) users.push_back(example->user);
  const Clusters clusters = clusters_of(users);
  std::vector<double> sums(static_cast<std::size_t>(clusters.count)), counts(sums.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    sums[static_cast<std::size_t>(clusters.of_example[i])] += auc(ranks[i]);
    counts[static_cast<std::size_t>(clusters.of_example[i])] += 1;
  }
  for (std::size_t u = 0; u < sums.size(); ++u) sums[u] /= counts[u];
  return mean(sums);
}

double pooled_auc_of(const Ranked& ranked, const std::vector<std::vector<double>>& scores) {
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

std::vector<Ranks> ranks_of_all(const Ranked& ranked, const std::vector<std::vector<double>>& scores) {
  std::vector<Ranks> ranks;
  for (std::size_t i = 0; i < scores.size(); ++i) ranks.push_back(ranks_of(scores[i], ranked.examples[i]->gold));
  return ranks;
}

std::vector<std::int64_t> chosen_positions(const std::vector<std::vector<double>>& scores,
                                           std::int64_t most_candidates) {
  std::vector<std::int64_t> histogram(static_cast<std::size_t>(most_candidates));
  for (const auto& of_example : scores) ++histogram[argmax(of_example)];
  return histogram;
}

/// One way of scoring with the model: its estimates into the table, the rest into the document.
void add_model_scores(Json& report, EstimateTable& table, const Ranked& ranked,
                      const std::vector<std::vector<double>>& scores, const std::string& name, const char* formula) {
  const std::vector<Ranks> ranks = ranks_of_all(ranked, scores);
  const std::string at = "/scores/" + name;
  report["scores"][name]["formula"] = formula;
  add_ranking_metrics(table, at, ranks, ranked.most_candidates);
  std::vector<double> losses, briers;
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::vector<double> p = softmax(scores[i]);
    losses.push_back(log_loss(scores[i], ranked.examples[i]->gold));
    briers.push_back(brier_score(p, ranked.examples[i]->gold));
    claims.push_back({p[argmax(p)], hit_rate(ranks[i], 1)});
  }
  table.add(at + "/log_loss", std::move(losses));
  table.add(at + "/brier", std::move(briers));
  Json& place = report["scores"][name];
  place["ece_15_equal_width_bins"] = expected_calibration_error(claims);
  place["ece_15_equal_mass_bins"] = expected_calibration_error_equal_mass(claims);
  place["auc_per_user"] = auc_per_user(ranked, ranks);
  place["auc_pooled"] = pooled_auc_of(ranked, scores);
  place["ranks"] = rank_summary(ranks);
  place["chosen_position_histogram"] = chosen_positions(scores, ranked.most_candidates);
}

void add_baselines(Json& report, EstimateTable& table, const Ranked& ranked, std::span<const EvalExample> examples,
                   const std::vector<data::Item>& catalogue) {
  for (const CandidateBaseline& baseline : candidate_baselines(examples, catalogue)) {
    Json& place = report["baselines"][baseline.name];
    place["description"] = baseline.description;
    if (baseline.not_applicable) {
      place["not_applicable"] = *baseline.not_applicable;
      continue;
    }
    std::vector<Ranks> ranks;
    for (const EvalExample* example : ranked.examples) {
      std::vector<double> scores;
      for (std::size_t j = 0; j < example->candidates.size(); ++j) scores.push_back(baseline.score(*example, j));
      ranks.push_back(ranks_of(scores, example->gold));
    }
    place["ranks"] = rank_summary(ranks);
    add_ranking_metrics(table, "/baselines/" + baseline.name, ranks, ranked.most_candidates);
  }
}

/// Counts of what the reader must know about the lists.
Json list_facts(const Ranked& ranked, std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  std::int64_t total = 0, fewest = ranked.most_candidates, repeated = 0, other_words = 0, last_among = 0,
               last_unknown = 0;
  std::vector<std::int64_t> positions(static_cast<std::size_t>(ranked.most_candidates));
  std::vector<double> expected(positions.size());  // were the lists shuffled
  for (const EvalExample* example : ranked.examples) {
    total += std::ssize(example->candidates);
    fewest = std::min(fewest, std::ssize(example->candidates));
    ++positions[example->gold];
    for (std::size_t j = 0; j < example->candidates.size(); ++j)
      expected[j] += 1.0 / static_cast<double>(example->candidates.size());
    std::set<std::vector<data::TokenId>> titles;
    for (std::uint32_t id : example->candidates) titles.insert(catalogue[id].tokens);
    repeated += titles.size() < example->candidates.size();
    other_words += catalogue[example->candidates[example->gold]].tokens != example->answer;
    last_unknown += !example->last_item;
    last_among +=
        example->last_item && std::ranges::find(example->candidates, *example->last_item) != example->candidates.end();
  }
  const auto n = static_cast<double>(ranked.examples.size());
  return {{"num_examples", ranked.examples.size()},
          {"num_examples_left_out", std::count_if(examples.begin(), examples.end(),
                                                  [](const EvalExample& s) { return s.has_unusable_candidates; })},
          {"num_candidates",
           {{"fewest", fewest}, {"most", ranked.most_candidates}, {"mean", static_cast<double>(total) / n}}},
          {"gold_position_histogram", positions},
          {"gold_position_expected", expected},
          {"num_examples_with_equal_titles", repeated},
          {"num_examples_whose_answer_is_not_the_title", other_words},
          {"num_examples_with_last_item_among_candidates", last_among},
          {"num_examples_without_last_item", last_unknown}};
}

/// A position that is right far more often than the others lets a model score without reading titles.
void warn_of_positions(const Json& report, std::vector<std::string>& warnings) {
  constexpr double kSigmas = 4;  // luck alone goes so far in one of 30,000 positions
  const auto n = report["num_examples"].get<double>();
  for (std::size_t j = 0; j < report["gold_position_histogram"].size(); ++j) {
    const auto count = report["gold_position_histogram"][j].get<double>();
    const auto expected = report["gold_position_expected"][j].get<double>();
    if (count > expected + kSigmas * std::sqrt(expected * (1 - expected / n)))
      warnings.push_back(fmt::format(
          "the right candidate stands at position {} in {} of {} examples, {:.0f} expected: its place gives it away",
          j + 1, count, n, expected));
  }
}

void warn_of_lists(const Json& report, std::vector<std::string>& warnings) {
  const auto warn_if_any = [&](const char* key, const char* text) {
    if (const auto count = report[key].get<std::int64_t>(); count > 0)
      warnings.push_back(fmt::format("{} of {} examples {}", count, report["num_examples"].get<std::int64_t>(), text));
  };
  warn_of_positions(report, warnings);
  warn_if_any("num_examples_with_equal_titles", "have candidates with equal titles: they tie by nature");
  warn_if_any(
      "num_examples_whose_answer_is_not_the_title",
      "have an answer that differs from the right candidate's title; candidates are scored by their titles, all alike");
  if (const auto left_out = report["num_examples_left_out"].get<std::int64_t>(); left_out > 0)
    warnings.push_back(fmt::format(
        "{} examples have candidates that cannot be ranked (the right one is unknown, or there is one only); "
        "they are left out",
        left_out));
}

}  // namespace

core::Json candidate_report(std::span<const EvalExample> examples, std::span<const CandidateScores> scores,
                            const std::vector<data::Item>& catalogue, const BootstrapOptions& bootstrap,
                            std::vector<std::string>& warnings) {
  const Ranked ranked = ranked_of(examples, scores);
  std::vector<std::optional<std::uint64_t>> users;
  for (const EvalExample* example : ranked.examples) users.push_back(example->user);
  EstimateTable table(clusters_of(users));
  Json report = list_facts(ranked, examples, catalogue);
  report["ties"] =
      "accuracy and hit_rate: expectation over random tie-breaking; ndcg and mrr: mid-rank; auc: a tie counts half";
  report["headline"] = "log_likelihood";
  report["headline_reason"] =
      "the sum over title and EOS is the probability of that answer among all texts, so it needs no correction; it "
      "favours short titles where "
      "the model is unsure, while the mean per token favours long, common ones and is no probability";
  if (!ranked.examples.front()->eos)
    report["note"] = "the examples end without EOS: a title's log-likelihood includes all texts that begin with it";
  add_model_scores(report, table, ranked, ranked.log_likelihood, "log_likelihood",
                   "sum of log p over the title's tokens and EOS");
  add_model_scores(report, table, ranked, ranked.per_token, "log_likelihood_per_token",
                   "the same divided by the number of these tokens");
  add_baselines(report, table, ranked, examples, catalogue);
  table.write_to(report, bootstrap.resamples, bootstrap.seed);
  warn_of_lists(report, warnings);
  warn_of_baselines("accuracy", report["scores"]["log_likelihood"]["accuracy"], report["baselines"], "accuracy",
                    warnings);
  return report;
}

}  // namespace allreco::eval
