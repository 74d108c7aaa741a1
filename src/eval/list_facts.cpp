#include "eval/list_facts.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace allreco::eval {

namespace {

/// Adds one example with candidates.
void count(ListFacts& facts, const EvalExample& example, const std::vector<data::Item>& catalogue) {
  const auto num_candidates = std::ssize(example.candidates);
  auto& [fewest, most, mean] = facts.num_candidates;
  fewest = facts.num_examples == 0 ? num_candidates : std::min(fewest, num_candidates);
  most = std::max(most, num_candidates);
  mean += static_cast<double>(num_candidates);  // the sum, until all are counted
  ++facts.num_examples;
  facts.gold_position_histogram.resize(static_cast<std::size_t>(most));
  facts.gold_position_expected.resize(static_cast<std::size_t>(most));
  ++facts.gold_position_histogram[example.gold];
  for (std::size_t j = 0; j < example.candidates.size(); ++j)
    facts.gold_position_expected[j] += 1.0 / static_cast<double>(num_candidates);
  std::set<std::vector<data::TokenId>> titles;
  for (const std::uint32_t id : example.candidates) titles.insert(catalogue[id].tokens);
  facts.num_examples_with_equal_titles += titles.size() < example.candidates.size();
  facts.num_examples_whose_answer_is_not_the_title +=
      catalogue[example.candidates[example.gold]].tokens != example.answer;
  facts.num_examples_without_last_item += !example.last_item;
  facts.num_examples_with_last_item_among_candidates +=
      example.last_item && std::ranges::find(example.candidates, *example.last_item) != example.candidates.end();
}

/// A position that is right far more often than the others lets a model score without reading titles.
void warn_of_positions(const ListFacts& facts, std::vector<std::string>& warnings) {
  constexpr double kSigmas = 4;  // luck alone goes so far in one of 30,000 positions
  const auto n = static_cast<double>(facts.num_examples);
  for (std::size_t j = 0; j < facts.gold_position_histogram.size(); ++j) {
    const auto found = static_cast<double>(facts.gold_position_histogram[j]);
    const double expected = facts.gold_position_expected[j];
    if (found > expected + kSigmas * std::sqrt(expected * (1 - expected / n)))
      warnings.push_back(fmt::format(
          "the right candidate stands at position {} in {} of {} examples, {:.0f} expected: its place gives it away",
          j + 1, found, n, expected));
  }
}

}  // namespace

ListFacts list_facts(std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  ListFacts facts;
  for (const EvalExample& example : examples) {
    facts.num_examples_left_out += example.has_unusable_candidates;
    if (!example.candidates.empty()) count(facts, example, catalogue);
  }
  facts.num_candidates.mean /= static_cast<double>(facts.num_examples);
  return facts;
}

void warn_of_lists(const ListFacts& facts, std::vector<std::string>& warnings) {
  warn_of_positions(facts, warnings);
  const auto warn_if_any = [&](std::int64_t count, const char* text) {
    if (count > 0) warnings.push_back(fmt::format("{} of {} examples {}", count, facts.num_examples, text));
  };
  warn_if_any(facts.num_examples_with_equal_titles, "have candidates with equal titles: they tie by nature");
  warn_if_any(
      facts.num_examples_whose_answer_is_not_the_title,
      "have an answer that differs from the right candidate's title; candidates are scored by their titles, all alike");
  if (facts.num_examples_left_out > 0)
    warnings.push_back(fmt::format(
        "{} examples have candidates that cannot be ranked (the right one is unknown, or there is one only); "
        "they are left out",
        facts.num_examples_left_out));
}

}  // namespace allreco::eval
