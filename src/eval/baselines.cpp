#include "eval/baselines.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>

namespace allreco::eval {

namespace {

using Tokens = std::vector<data::TokenId>;

constexpr std::int64_t kMaxTrainAnswers = 200'000;  // enough to find the most frequent one

bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool is_plain(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ' || c == '.' || c == '?'; }

using CandidateScorer = std::function<std::vector<double>(const EvalExample&)>;

template <class ScoreOf>
CandidateScorer of_each_candidate(const ScoreOf& score_of) {
  return [score_of](const EvalExample& example) {
    std::vector<double> scores;
    for (const std::uint32_t item : example.candidates) scores.push_back(score_of(example, item));
    return scores;
  };
}

/// A score that is a property of the item alone.
CandidateScorer by_item(std::vector<double> of_items) {
  return of_each_candidate(
      [of_items = std::move(of_items)](const EvalExample&, std::uint32_t item) { return of_items.at(item); });
}

/// A rule for the whole catalogue, beside candidates.
CandidateBaseline among_candidates(const ItemBaseline& baseline, std::size_t num_items) {
  CandidateBaseline result{baseline.name, baseline.description, baseline.not_applicable, {}};
  if (baseline.not_applicable) return result;
  result.scores = [score = baseline.score, of_items = std::vector<double>(num_items)](const EvalExample& e) mutable {
    score(e, of_items);
    std::vector<double> scores;
    for (const std::uint32_t item : e.candidates) scores.push_back(of_items.at(item));
    return scores;
  };
  return result;
}

std::vector<double> of_each(const std::vector<data::Item>& catalogue,
                            const std::function<double(const data::Item&)>& value_of) {
  std::vector<double> values;
  for (const data::Item& item : catalogue) values.push_back(value_of(item));
  return values;
}

std::int64_t num_with_last_item(std::span<const EvalExample> examples) {
  return std::count_if(examples.begin(), examples.end(), [](const EvalExample& s) { return s.last_item.has_value(); });
}

/// By how often an item is a target in the train split.
CandidateBaseline by_train_count(const char* name, const char* description, const std::vector<data::Item>& catalogue,
                                 double of_unseen) {
  CandidateBaseline baseline{.name = name, .description = description};
  if (std::any_of(catalogue.begin(), catalogue.end(), [](const data::Item& item) { return item.train_count > 0; })) {
    baseline.scores = by_item(of_each(catalogue, [of_unseen](const data::Item& item) {
      return item.train_count > 0 ? static_cast<double>(item.train_count) : of_unseen;
    }));
  } else {
    baseline.not_applicable = "no item of the catalogue is a target in a train split";
  }
  return baseline;
}

CandidateBaseline last_item_baseline(std::span<const EvalExample> examples) {
  CandidateBaseline baseline{
      .name = "last_item_repeat",
      .description = "the candidate that is the newest item of the history; chance where it is not among them"};
  if (num_with_last_item(examples) == 0) {
    baseline.not_applicable = "the dataset does not say which item is the newest of a history";
  } else {
    baseline.scores = of_each_candidate(
        [](const EvalExample& example, std::uint32_t item) { return example.last_item == item ? 1.0 : 0.0; });
  }
  return baseline;
}

AnswerBaseline chance_answer(std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  AnswerBaseline baseline{.name = "chance",
                          .description = fmt::format("one of the catalogue's {} titles at random", catalogue.size())};
  if (catalogue.empty()) {
    baseline.not_applicable = "the dataset has no catalogue of possible answers";
    return baseline;
  }
  std::map<Tokens, double> share;  // titles may repeat
  for (const data::Item& item : catalogue) share[item.tokens] += 1.0 / static_cast<double>(catalogue.size());
  for (const EvalExample& example : examples) {
    const auto found = share.find(example.answer);
    baseline.correct.push_back(found == share.end() ? 0.0 : found->second);
  }
  return baseline;
}

/// The most frequent answer among the first `count` examples; of several the one that sorts first.
std::pair<Tokens, std::int64_t> most_frequent_answer(const data::Dataset& train, std::int64_t count,
                                                     const std::vector<std::int64_t>& eos) {
  std::map<Tokens, std::int64_t> counts;
  for (const EvalExample& example : read_eval_examples(train, count, eos)) ++counts[example.answer];
  const auto best =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return *best;
}

AnswerBaseline majority_answer(const data::DatasetInfo& info, std::span<const EvalExample> examples) {
  AnswerBaseline baseline{.name = "majority", .description = "always the most frequent answer of the train split"};
  if (!data::has_split(info, "train")) {
    baseline.not_applicable = "the dataset has no train split";
    return baseline;
  }
  std::vector<std::int64_t> eos;
  for (const EvalExample& example : examples)
    if (example.eos && std::find(eos.begin(), eos.end(), *example.eos) == eos.end()) eos.push_back(*example.eos);
  std::sort(eos.begin(), eos.end());
  const data::Dataset train(info.directory, "train", /*verify_checksums=*/false);
  const std::int64_t count = std::min(train.size(), kMaxTrainAnswers);
  const auto [answer, times] = most_frequent_answer(train, count, eos);
  baseline.description += fmt::format(" ({} of its {}{} examples)", times, count < train.size() ? "first " : "", count);
  for (const EvalExample& example : examples) baseline.correct.push_back(example.answer == answer ? 1.0 : 0.0);
  return baseline;
}

AnswerBaseline last_item_answer(std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  AnswerBaseline baseline{.name = "last_item_repeat", .description = "the title of the newest item of the history"};
  if (num_with_last_item(examples) == 0) {
    baseline.not_applicable = "the dataset does not say which item is the newest of a history";
    return baseline;
  }
  for (const EvalExample& example : examples) {
    const bool known = example.last_item && *example.last_item < catalogue.size();
    baseline.correct.push_back(known && catalogue[*example.last_item].tokens == example.answer ? 1.0 : 0.0);
  }
  return baseline;
}

}  // namespace

std::int64_t num_characters(const std::string& utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return !is_continuation_byte(c); });
}

std::int64_t num_odd_characters(const std::string& utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return !is_continuation_byte(c) && !is_plain(c); });
}

std::vector<CandidateBaseline> candidate_baselines(std::span<const EvalExample> examples,
                                                   const std::vector<data::Item>& catalogue,
                                                   const std::vector<ItemBaseline>& of_items) {
  std::vector<CandidateBaseline> baselines;
  baselines.push_back({.name = "chance",
                       .description = "a candidate at random",
                       .scores = of_each_candidate([](const EvalExample&, std::uint32_t) { return 0.0; })});
  baselines.push_back(by_train_count("most_popular_candidate",
                                     "the candidate that is most often a target in the train split", catalogue, 0));
  baselines.push_back(by_train_count("unseen_in_train_else_popular",
                                     "a candidate that is never a target in the train split; else the most popular one",
                                     catalogue, std::numeric_limits<double>::max()));
  baselines.push_back({.name = "shortest_title",
                       .description = "the candidate whose title has the fewest characters",
                       .scores = by_item(of_each(catalogue, [](const data::Item& item) {
                         return -static_cast<double>(num_characters(item.title));
                       }))});
  baselines.push_back({.name = "fewest_odd_characters",
                       .description = "the candidate whose title has the fewest characters outside [A-Za-z .?]",
                       .scores = by_item(of_each(catalogue, [](const data::Item& item) {
                         return -static_cast<double>(num_odd_characters(item.title));
                       }))});
  baselines.push_back(last_item_baseline(examples));
  for (const ItemBaseline& baseline : of_items) baselines.push_back(among_candidates(baseline, catalogue.size()));
  return baselines;
}

std::vector<AnswerBaseline> answer_baselines(const data::DatasetInfo& info, std::span<const EvalExample> examples,
                                             const std::vector<data::Item>& catalogue) {
  std::vector<AnswerBaseline> baselines;
  baselines.push_back(chance_answer(examples, catalogue));
  baselines.push_back(majority_answer(info, examples));
  baselines.push_back(last_item_answer(examples, catalogue));
  return baselines;
}

}  // namespace allreco::eval
