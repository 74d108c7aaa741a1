#include "audit/combination.h"

#include <algorithm>
#include <cmath>

namespace allreco::audit {

namespace {

constexpr double kPenalty = 1;  // half of it times each squared weight: finite weights where a feature is always right
constexpr int kMostIterations = 30;  // of Newton's method, which needs about eight

std::vector<double> probabilities_of(const std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> probabilities;
  double sum = 0;
  for (const double score : scores) sum += probabilities.emplace_back(std::exp(score - largest));
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

/// The slope of log_likelihood by the weights, and minus its second derivatives.
struct Derivatives {
  std::vector<double> slope;
  std::vector<std::vector<double>> curvature;
};

void add_list(const PlacedList& list, const std::vector<FittedTerm>& terms, Derivatives& sum) {
  const std::vector<double> probabilities = probabilities_of(scores_of(terms, list.places));
  std::vector<double> means(terms.size());
  for (std::size_t a = 0; a < terms.size(); ++a) {
    const auto& places = list.places[terms[a].feature];
    for (std::size_t j = 0; j < places.size(); ++j) means[a] += probabilities[j] * places[j];
    sum.slope[a] += places[list.gold] - means[a];
  }
  for (std::size_t a = 0; a < terms.size(); ++a) {
    for (std::size_t b = 0; b < terms.size(); ++b) {
      double product = 0;
      for (std::size_t j = 0; j < probabilities.size(); ++j)
        product += probabilities[j] * list.places[terms[a].feature][j] * list.places[terms[b].feature][j];
      sum.curvature[a][b] += product - means[a] * means[b];
    }
  }
}

Derivatives derivatives_of(std::span<const PlacedList> lists, const std::vector<FittedTerm>& terms) {
  const std::size_t n = terms.size();
  Derivatives sum{std::vector<double>(n), std::vector<std::vector<double>>(n, std::vector<double>(n))};
  for (const PlacedList& list : lists) add_list(list, terms, sum);
  for (std::size_t a = 0; a < n; ++a) {
    sum.slope[a] -= kPenalty * terms[a].weight;
    sum.curvature[a][a] += kPenalty;
  }
  return sum;
}

/// Solves curvature * step = slope by elimination; the penalty keeps it positive definite, so no pivots are needed.
std::vector<double> newton_step(Derivatives d) {
  const std::size_t n = d.slope.size();
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t row = a + 1; row < n; ++row) {
      const double factor = d.curvature[row][a] / d.curvature[a][a];
      for (std::size_t b = a; b < n; ++b) d.curvature[row][b] -= factor * d.curvature[a][b];
      d.slope[row] -= factor * d.slope[a];
    }
  }
  for (std::size_t a = n; a > 0; --a) {
    for (std::size_t b = a; b < n; ++b) d.slope[a - 1] -= d.curvature[a - 1][b] * d.slope[b];
    d.slope[a - 1] /= d.curvature[a - 1][a - 1];
  }
  return d.slope;
}

/// Newton's method; a step that does not help is halved. Returns the likelihood reached.
double fit_weights(std::span<const PlacedList> lists, std::vector<FittedTerm>& terms) {
  constexpr double kSmallestGain = 1e-6, kSmallestStep = 1e-3;
  double reached = log_likelihood(lists, terms);
  for (int iteration = 0; iteration < kMostIterations; ++iteration) {
    const std::vector<double> step = newton_step(derivatives_of(lists, terms));
    double gain = -1;
    for (double scale = 1; gain < 0 && scale > kSmallestStep; scale /= 2) {
      std::vector<FittedTerm> moved = terms;
      for (std::size_t a = 0; a < terms.size(); ++a) moved[a].weight += scale * step[a];
      gain = log_likelihood(lists, moved) - reached;
      if (gain >= 0) terms = std::move(moved);
    }
    if (gain < 0) break;
    reached += gain;
    if (gain < kSmallestGain) break;
  }
  return reached;
}

}  // namespace

std::vector<double> places_of(const std::vector<double>& values) {
  std::vector<double> places;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) {
    double lower = 0, equal = 0;
    for (const double other : values) {
      lower += other < value;
      equal += other == value;
    }
    places.push_back(n < 2 ? 0 : 2 * (lower + (equal - 1) / 2) / (n - 1) - 1);
  }
  return places;
}

std::vector<double> scores_of(const std::vector<FittedTerm>& terms, const FeatureValues& places) {
  std::vector<double> scores(places.front().size());
  for (const FittedTerm& term : terms)
    for (std::size_t j = 0; j < scores.size(); ++j) scores[j] += term.weight * places[term.feature][j];
  return scores;
}

double log_likelihood(std::span<const PlacedList> lists, const std::vector<FittedTerm>& terms) {
  double sum = 0;
  for (const PlacedList& list : lists) sum += std::log(probabilities_of(scores_of(terms, list.places))[list.gold]);
  for (const FittedTerm& term : terms) sum -= kPenalty / 2 * term.weight * term.weight;
  return sum;
}

std::vector<FittedTerm> fit_combination(std::span<const PlacedList> lists, const std::vector<std::size_t>& allowed) {
  std::vector<FittedTerm> terms;
  if (lists.empty()) return terms;
  double reached = log_likelihood(lists, terms);
  while (terms.size() < kMostTerms) {
    std::vector<FittedTerm> best;
    double best_reached = reached + kLeastGain;
    for (const std::size_t feature : allowed) {
      if (std::any_of(terms.begin(), terms.end(), [&](const FittedTerm& t) { return t.feature == feature; })) continue;
      std::vector<FittedTerm> grown = terms;
      grown.push_back({feature, 0});
      const double with = fit_weights(lists, grown);
      if (with > best_reached) {
        best_reached = with;
        best = std::move(grown);
      }
    }
    if (best.empty()) break;
    terms = std::move(best);
    reached = best_reached;
  }
  return terms;
}

}  // namespace allreco::audit
