#include "eval/catalogue.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/check.h"
#include "eval/beam_search.h"
#include "eval/chunks.h"
#include "eval/title_trie.h"
#include "eval/trie_scoring.h"

namespace allreco::eval {

namespace {

/// One trie for each token that ends answers.
using Tries = std::map<std::optional<data::TokenId>, TokenTrie>;

std::vector<std::size_t> rankable(std::span<const EvalExample> examples, std::size_t num_items) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < examples.size(); ++i)
    if (examples[i].target && *examples[i].target < num_items) indices.push_back(i);
  return indices;
}

/// Scores of a trie's nodes, one vector a kind.
class Kinds {
 public:
  explicit Kinds(bool is_beam) : is_beam_(is_beam) {}

  std::vector<CatalogueKind> names() const {
    std::vector<CatalogueKind> kinds = {{"log_likelihood", "sum of log p over the title's tokens and EOS"}};
    if (!is_beam_) kinds.push_back({"log_likelihood_per_token", "the same divided by the number of these tokens"});
    kinds.push_back({"log_likelihood_masked",
                     "the sum with p at each token renormalised over the tokens that go on to some title"});
    return kinds;
  }
  std::vector<std::vector<double>> of_nodes(const TokenTrie& trie, const TrieScores& scores) const {
    std::vector<std::vector<double>> kinds = {path_log_likelihoods(trie, scores)};
    if (!is_beam_) {
      kinds.push_back(kinds[0]);
      for (std::size_t n = 1; n < kinds[1].size(); ++n) kinds[1][n] /= static_cast<double>(trie.nodes()[n].length());
    }
    kinds.push_back(masked_log_likelihoods(trie, scores));
    return kinds;
  }

 private:
  bool is_beam_;
};

/// One example under one kind as numbers, for the sum over the ranks of the run.
constexpr std::size_t kNumbersOfRanks = 3;
constexpr std::size_t kNumbersOfKind = 2 * kNumbersOfRanks + kNumRecommended;

void put(std::span<double> place, const CatalogueRank& rank) {
  std::size_t at = 0;
  for (const Ranks& r : {rank.among_all, rank.without_history}) {
    for (const std::int64_t n : {r.num_higher, r.num_equal, r.num_candidates}) place[at++] = static_cast<double>(n);
  }
  for (const std::uint32_t item : rank.recommended) place[at++] = item + 1.0;  // 0: none
}

CatalogueRank taken(std::span<const double> place) {
  const auto number = [&](std::size_t at) { return static_cast<std::int64_t>(place[at]); };
  CatalogueRank rank{{number(0), number(1), number(2)}, {number(3), number(4), number(5)}, {}};
  for (std::size_t at = 2 * kNumbersOfRanks; at < place.size() && number(at) > 0; ++at)
    rank.recommended.push_back(static_cast<std::uint32_t>(number(at) - 1));
  return rank;
}

/// One search for each of a beam's kinds.
BeamOptions beam_options(const CatalogueOptions& options) {
  return {options.num_beams, {PathScore::plain, PathScore::masked}};
}

bool prunes(const CatalogueOptions& options, const TokenTrie& trie) {
  return options.ranking == "beam" && beam_prunes(options.num_beams, trie);
}

/// Scores examples, and makes ranks of the scores.
class Ranker {
 public:
  Ranker(model::Decoder& decoder, const CatalogueOptions& options, std::int64_t max_tokens)
      : decoder_(decoder), options_(options), is_beam_(options.ranking == "beam"), scorer_(decoder, max_tokens) {}

  /// scores[request][kind][item]
  std::vector<std::vector<std::vector<double>>> score(const std::vector<TrieRequest>& requests) {
    std::vector<std::vector<std::vector<double>>> scores(requests.size());
    if (prunes(options_, *requests.front().trie)) {
      const BeamResults results = beam_search(decoder_, requests, beam_options(options_));
      num_tokens_of_beams_ += results.num_tokens_computed;
      for (std::size_t r = 0; r < requests.size(); ++r) {
        for (const std::vector<BeamHit>& hits : results.hits[r])
          scores[r].push_back(scores_of_items(*requests[r].trie, hits));
      }
      return scores;
    }
    const std::vector<TrieScores> of_nodes = scorer_.score(requests);
    for (std::size_t r = 0; r < requests.size(); ++r) {
      for (const auto& of_kind : Kinds(is_beam_).of_nodes(*requests[r].trie, of_nodes[r]))
        scores[r].push_back(scores_of_items(*requests[r].trie, of_kind));
    }
    return scores;
  }

  std::int64_t num_tokens_computed() const { return num_tokens_of_beams_ + scorer_.num_tokens_computed(); }

  CatalogueRank rank(std::span<const double> scores, const EvalExample& example) const {
    std::vector<bool> in_history(scores.size(), false);
    const std::vector<bool> nothing = in_history;
    for (const std::uint32_t item : example.history) in_history[item] = true;
    return {ranks(scores, *example.target, nothing), ranks(scores, *example.target, in_history),
            best_items(scores, kNumRecommended, options_.excludes_history() ? in_history : nothing)};
  }

 private:
  /// What a beam does not find is missed at every cutoff up to its width, also where it holds items of the history that
  /// are not ranked.
  Ranks ranks(std::span<const double> scores, std::uint32_t target, const std::vector<bool>& left_out) const {
    Ranks ranks = catalogue_ranks(scores, target, left_out);
    if (scores[target] != kNotFound) return ranks;
    const std::int64_t behind = std::clamp(options_.num_beams, ranks.num_higher, ranks.num_candidates - 1);
    ranks.num_equal -= behind - ranks.num_higher;
    ranks.num_higher = behind;
    return ranks;
  }

  model::Decoder& decoder_;
  const CatalogueOptions& options_;
  bool is_beam_;
  TrieScorer scorer_;
  std::int64_t num_tokens_of_beams_ = 0;
};

void require_finite(std::span<const double> scores, const EvalExample& example) {
  for (std::size_t item = 0; item < scores.size(); ++item) {
    if (!std::isfinite(scores[item]))
      core::fault("the model gives item {} after example {} the score {}: its weights or its dtype are unusable", item,
                  example.index, scores[item]);
  }
}

/// What a request costs: the tokens of its pass, or for a beam the rows that its cache may need.
std::int64_t cost_of(std::int64_t prompt_length, const TokenTrie& trie, const CatalogueOptions& options) {
  return prunes(options, trie) ? most_beam_rows(prompt_length, trie, beam_options(options))
                               : prompt_length + trie.num_computed();
}

void count_one_by_one(CatalogueRanking& ranking, const data::Dataset& dataset, std::span<const EvalExample> examples,
                      const Tries& tries) {
  for (const std::size_t i : ranking.examples) {
    const TokenTrie& trie = tries.at(examples[i].eos);
    const std::int64_t prompt_length = dataset.prompt_length(examples[i].index);
    for (std::size_t t = 0; t < trie.num_sequences(); ++t)
      ranking.num_tokens_one_by_one += prompt_length + trie.node(trie.end_of(t)).length();
  }
}

}  // namespace

Ranks catalogue_ranks(std::span<const double> scores, std::uint32_t target, const std::vector<bool>& left_out) {
  Ranks ranks;
  for (std::size_t item = 0; item < scores.size(); ++item) {
    core::require(!std::isnan(scores[item]), "a score that is not a number has no rank");
    if (left_out[item] && item != target) continue;
    ++ranks.num_candidates;
    ranks.num_higher += scores[item] > scores[target];
    ranks.num_equal += item != target && scores[item] == scores[target];
  }
  return ranks;
}

std::vector<std::uint32_t> best_items(std::span<const double> scores, std::int64_t count,
                                      const std::vector<bool>& left_out) {
  const auto is_better = [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  std::vector<std::uint32_t> items;  // a heap with the worst of the best so far on top
  double to_beat = kNotFound;
  for (std::uint32_t item = 0; item < scores.size(); ++item) {
    if (scores[item] <= to_beat || left_out[item]) continue;
    if (std::ssize(items) == count) {
      std::pop_heap(items.begin(), items.end(), is_better);
      items.pop_back();
    }
    items.push_back(item);
    std::push_heap(items.begin(), items.end(), is_better);
    if (std::ssize(items) == count) to_beat = scores[items.front()];
  }
  std::sort_heap(items.begin(), items.end(), is_better);
  return items;
}

CatalogueRanking rankable_examples(const data::Dataset& dataset, std::span<const EvalExample> examples,
                                   const std::vector<data::Item>& catalogue) {
  CatalogueRanking ranking;
  ranking.examples = rankable(examples, catalogue.size());
  ranking.num_items = std::ssize(catalogue);
  ranking.knows_histories = dataset.has_histories();
  for (const std::size_t i : ranking.examples)
    ranking.num_targets_in_history +=
        std::ranges::find(examples[i].history, *examples[i].target) != examples[i].history.end();
  if (catalogue.empty())
    ranking.not_applicable = "the dataset has no items.jsonl";
  else if (ranking.examples.empty())
    ranking.not_applicable = "no example says which item was bought";
  return ranking;
}

CatalogueRanking rank_catalogue(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue,
                                const CatalogueOptions& options, std::int64_t max_tokens_per_batch) {
  CatalogueRanking ranking = rankable_examples(dataset, examples, catalogue);
  ranking.kinds = Kinds(options.ranking == "beam").names();
  if (ranking.not_applicable) return ranking;

  Tries tries;
  std::vector<Chunk> chunks;
  session.together("building the trie of titles", [&] {
    for (const std::size_t i : ranking.examples) {
      if (dataset.prompt_length(examples[i].index) < 1)
        core::user_error("example {} has an empty prompt: there is nothing to rank the catalogue after",
                         examples[i].index);
      if (!tries.contains(examples[i].eos)) tries.emplace(examples[i].eos, title_trie(catalogue, examples[i].eos));
    }
    chunks = cut_into_chunks(std::ssize(ranking.examples), max_tokens_per_batch,
                             std::numeric_limits<std::int64_t>::max(), [&](std::int64_t place) {
                               const EvalExample& e = examples[ranking.examples[static_cast<std::size_t>(place)]];
                               return cost_of(dataset.prompt_length(e.index), tries.at(e.eos), options);
                             });
  });
  ranking.num_titles = tries.begin()->second.num_distinct();
  ranking.num_beams = options.ranking == "beam" ? options.num_beams : 0;
  count_one_by_one(ranking, dataset, examples, tries);

  const std::size_t num_kinds = ranking.kinds.size(), width = num_kinds * kNumbersOfKind;
  std::vector<double> flat(ranking.examples.size() * width + 1, 0.0);  // the last: tokens computed
  Ranker ranker(decoder, options, max_tokens_per_batch);
  for_each_chunk(session, chunks, "catalogue ranking", [&](std::size_t, const Chunk& chunk) {
    const auto begin = static_cast<std::size_t>(chunk.begin), end = static_cast<std::size_t>(chunk.end);
    std::vector<TrieRequest> requests;
    for (std::size_t place = begin; place < end; ++place) {
      const EvalExample& example = examples[ranking.examples[place]];
      requests.push_back({&tries.at(example.eos), dataset.prompt(example.index)});
    }
    const auto scores = ranker.score(requests);
    for (std::size_t place = begin; place < end; ++place) {
      const EvalExample& example = examples[ranking.examples[place]];
      for (std::size_t kind = 0; kind < num_kinds; ++kind) {
        const std::vector<double>& of_items = scores[place - begin][kind];
        if (!prunes(options, *requests.front().trie)) require_finite(of_items, example);
        put(std::span(flat).subspan(place * width + kind * kNumbersOfKind, kNumbersOfKind),
            ranker.rank(of_items, example));
      }
    }
  });
  flat.back() = static_cast<double>(ranker.num_tokens_computed());
  session.all_sum(flat);  // exact: whole numbers, and all ranks but one add zero
  ranking.num_tokens_computed = static_cast<std::int64_t>(flat.back());
  ranking.ranks.resize(num_kinds);
  for (std::size_t place = 0; place < ranking.examples.size(); ++place) {
    for (std::size_t kind = 0; kind < num_kinds; ++kind)
      ranking.ranks[kind].push_back(
          taken(std::span<const double>(flat).subspan(place * width + kind * kNumbersOfKind, kNumbersOfKind)));
  }
  return ranking;
}

}  // namespace allreco::eval
