#include "eval/error_analysis.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/text.h"
#include "eval/baselines/item_baseline.h"
#include "eval/calibration.h"
#include "eval/metrics.h"

namespace allreco::eval {

namespace {

constexpr std::size_t kMostMistakes = 20, kMostConfusions = 20;

/// The headline of each example; those that have none are left out.
struct Headline {
  std::string metric = {};
  std::vector<std::size_t> examples = {};  // indices
  std::vector<double> values = {};
};

Headline headline_of(const Measured& measured, const EvaluateConfig& config, const data::Tokenizer* tokenizer) {
  Headline headline;
  const auto add = [&](std::size_t i, double value) {
    headline.examples.push_back(i);
    headline.values.push_back(value);
  };
  const auto& ranking = measured.catalogue_ranking;
  if (!measured.scores.empty()) {
    headline.metric = "accuracy";
    for (std::size_t i = 0; i < measured.examples.size(); ++i)
      if (!measured.examples[i].candidates.empty())
        add(i, hit_rate(ranks_of(measured.scores[i].log_likelihood, measured.examples[i].gold), 1));
  } else if (!ranking.ranks.empty()) {
    headline.metric = "hit_rate@10";
    for (std::size_t place = 0; place < ranking.examples.size(); ++place) {
      const CatalogueRank& rank = ranking.ranks.front()[place];
      add(ranking.examples[place],
          hit_rate(config.catalogue.excludes_history() ? rank.without_history : rank.among_all, 10));
    }
  } else if (!measured.answers.empty()) {
    headline.metric = "exact_match";
    for (std::size_t i = 0; i < measured.examples.size(); ++i)
      add(i, is_exact_match(measured.examples[i], measured.answers[i], tokenizer) ? 1.0 : 0.0);
  }
  return headline;
}

/// The name of the first range that holds `value`: up to bounds[0], up to bounds[1], ..., above the last.
std::string range_of(std::int64_t value, std::initializer_list<std::int64_t> bounds) {
  std::int64_t from = 0;
  for (const std::int64_t bound : bounds) {
    if (value <= bound) return from == bound ? fmt::format("{}", bound) : fmt::format("{} to {}", from, bound);
    from = bound + 1;
  }
  return fmt::format("{} or more", from);
}

/// What is known of an example, by property.
class Properties {
 public:
  Properties(const Measured& measured, const TrainSequences& train, const Headline& headline)
      : measured_(measured), train_(train) {
    for (const std::size_t i : headline.examples)
      if (measured.examples[i].user) ++examples_of_user_[*measured.examples[i].user];
    find_popularity_bounds();
    find_similarities(headline);
  }

  std::map<std::string, std::string> of(std::size_t i) const {
    const EvalExample& example = measured_.examples[i];
    std::map<std::string, std::string> values;
    const auto history = known_history(example);
    if (!example.history.empty()) values["history_length"] = range_of(std::ssize(history), {2, 5, 9});
    if (example.user) values["examples_of_user"] = range_of(examples_of_user_.at(*example.user), {1, 4, 9});
    if (example.target) add_target(values, *example.target, history);
    if (const auto found = similarity_.find(i); found != similarity_.end())
      values["title_similarity_to_history"] = quartile_of(found->second);
    if (!measured_.scores.empty() && !example.candidates.empty()) add_choice(values, i);
    return values;
  }

 private:
  void find_popularity_bounds() {
    if (train_.not_applicable) return;
    std::vector<std::int64_t> bought;
    for (const std::int64_t count : train_.purchases)
      if (count > 0) bought.push_back(count);
    std::sort(bought.begin(), bought.end());
    const std::size_t fifth = bought.size() / 5;
    if (fifth == 0) return;
    least_of_head_ = bought[bought.size() - fifth];
    most_of_tail_ = bought[fifth - 1];
  }

  /// TF-IDF of the target's title against the history's, as the baseline has it.
  void find_similarities(const Headline& headline) {
    const auto score = tf_idf_scores(measured_.catalogue);
    std::vector<double> scores(measured_.catalogue.size()), all;
    for (const std::size_t i : headline.examples) {
      const EvalExample& example = measured_.examples[i];
      if (!example.target || *example.target >= scores.size() || known_history(example).empty()) continue;
      score(example, scores);
      all.push_back(similarity_[i] = scores[*example.target]);
    }
    std::sort(all.begin(), all.end());
    for (std::size_t q = 1; q < 4 && !all.empty(); ++q) quartiles_.push_back(all[(all.size() - 1) * q / 4]);
  }

  std::string quartile_of(double similarity) const {
    const auto above = std::lower_bound(quartiles_.begin(), quartiles_.end(), similarity) - quartiles_.begin();
    return fmt::format("quartile {}", above + 1);
  }

  void add_target(std::map<std::string, std::string>& values, std::uint32_t target,
                  std::span<const std::uint32_t> history) const {
    if (target >= measured_.catalogue.size()) return;
    const data::Item& item = measured_.catalogue[target];
    values["title_tokens"] = range_of(std::ssize(item.tokens), {5, 10, 20, 40});
    if (!item.category.empty()) values["category"] = item.category;
    if (!history.empty()) {
      const std::string& last_brand = measured_.catalogue[history.back()].brand;
      if (!item.brand.empty() && !last_brand.empty())
        values["brand"] = item.brand == last_brand ? "that of the last item" : "another";
      const bool repeats = std::find(history.begin(), history.end(), target) != history.end();
      const bool same_title = std::any_of(history.begin(), history.end(), [&](std::uint32_t bought) {
        return measured_.catalogue[bought].title == item.title;
      });
      values["target_in_history"] = repeats ? "the item" : same_title ? "its title" : "new";
    }
    if (train_.not_applicable) return;
    const std::int64_t count = train_.purchases[target];
    const bool is_head = count >= least_of_head_, is_tail = count <= most_of_tail_;
    values["target_popularity"] = count == 0           ? "unseen in train"
                                  : is_head == is_tail ? "middle"
                                  : is_head            ? "head: the most bought fifth"
                                                       : "tail: the least bought fifth";
  }

  void add_choice(std::map<std::string, std::string>& values, std::size_t i) const {
    const auto p = softmax(measured_.scores[i].log_likelihood);
    const std::size_t chosen = argmax(p);
    values["position_of_right_candidate"] = fmt::format("{}", measured_.examples[i].gold + 1);
    values["position_of_chosen_candidate"] = fmt::format("{}", chosen + 1);
    const auto quarter = std::min<std::int64_t>(3, static_cast<std::int64_t>(p[chosen] * 4));
    values["confidence"] = fmt::format("{}.{:02} to {}.{:02}", 0, quarter * 25, quarter == 3 ? 1 : 0,
                                       quarter == 3 ? 0 : quarter * 25 + 25);
  }

  const Measured& measured_;
  const TrainSequences& train_;
  std::map<std::uint64_t, std::int64_t> examples_of_user_;
  /// Purchases in train. Items bought as often as these belong to the fifth, too.
  std::int64_t least_of_head_ = std::numeric_limits<std::int64_t>::max(), most_of_tail_ = 0;
  std::map<std::size_t, double> similarity_;  // by example
  std::vector<double> quartiles_;
};

std::vector<Slice> slices_of(const Headline& headline, const Measured& measured, const Properties& properties,
                             const BootstrapOptions& bootstrap) {
  std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> members;  // places in `headline`
  for (std::size_t place = 0; place < headline.examples.size(); ++place)
    for (const auto& property : properties.of(headline.examples[place])) members[property].push_back(place);
  const double of_all = mean(headline.values);
  std::vector<Slice> slices;
  for (const auto& [property, places] : members) {
    Column column{headline.metric, {}, true};
    std::vector<std::optional<std::uint64_t>> users;
    for (const std::size_t place : places) {
      column.values.push_back(headline.values[place]);
      users.push_back(measured.examples[headline.examples[place]].user);
    }
    Slice slice{property.first, property.second, std::ssize(places)};
    slice.metric = estimates_of({std::move(column)}, clusters_of(users), bootstrap).front().second;
    slice.cost = static_cast<double>(places.size()) / static_cast<double>(headline.values.size()) *
                 (of_all - slice.metric.value);
    slices.push_back(std::move(slice));
  }
  std::stable_sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) { return a.cost > b.cost; });
  return slices;
}

void keep_most_confident(std::vector<Mistake>& mistakes) {
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.confidence > b.confidence; });
  mistakes.resize(std::min(mistakes.size(), kMostMistakes));
}

/// Wrong choices, the most confident first, and how often each right title was taken for which.
void add_mistakes(ErrorAnalysis& analysis, const data::Dataset& dataset, const Measured& measured,
                  const data::Tokenizer* tokenizer) {
  std::map<std::pair<std::string, std::string>, std::int64_t> confusions;
  for (std::size_t i = 0; i < measured.scores.size(); ++i) {
    const EvalExample& example = measured.examples[i];
    if (example.candidates.empty()) continue;
    const auto p = softmax(measured.scores[i].log_likelihood);
    const std::size_t chosen = argmax(p);
    const data::Item& taken = measured.catalogue[example.candidates[chosen]];
    const data::Item& right = measured.catalogue[example.candidates[example.gold]];
    if (taken.tokens == right.tokens) continue;  // itself, or one of the same title: a tie, not a mistake
    Mistake mistake{example.index, p[chosen], taken.title, right.title};
    ++confusions[{mistake.right, mistake.chosen}];
    analysis.mistakes.push_back(std::move(mistake));
    if (analysis.mistakes.size() >= 2 * kMostMistakes) keep_most_confident(analysis.mistakes);
  }
  keep_most_confident(analysis.mistakes);
  for (Mistake& mistake : analysis.mistakes)
    if (tokenizer) mistake.prompt = core::printable_lines(decode_any(*tokenizer, dataset.prompt(mistake.index)));
  for (const auto& [pair, count] : confusions) analysis.confusions.push_back({pair.first, pair.second, count});
  std::stable_sort(analysis.confusions.begin(), analysis.confusions.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  analysis.confusions.resize(std::min(analysis.confusions.size(), kMostConfusions));
}

}  // namespace

std::optional<ErrorAnalysis> error_analysis(const data::Dataset& dataset, const Measured& measured,
                                            const EvaluateConfig& config, const TrainSequences& train,
                                            const data::Tokenizer* tokenizer) {
  const Headline headline = headline_of(measured, config, tokenizer);
  if (headline.values.empty()) return std::nullopt;
  ErrorAnalysis analysis{.metric = headline.metric};
  const Properties properties(measured, train, headline);
  analysis.slices = slices_of(headline, measured, properties, {config.bootstrap_samples, config.seed});
  add_mistakes(analysis, dataset, measured, tokenizer);
  return analysis;
}

}  // namespace allreco::eval
