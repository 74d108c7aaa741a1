#include "eval/beam_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace allreco::eval {

namespace {

/// A beginning of a sequence: the path to a node and the first `offset` of the node's tokens.
struct Hypothesis {
  std::int64_t node = 0;
  std::int64_t offset = 0;
  double score = 0;
  std::int64_t segment = -1;  // of its last token, once that is in a batch
  bool has_ended = false;
};

bool is_better(const Hypothesis& a, const Hypothesis& b) {
  return a.score != b.score ? a.score > b.score : a.node != b.node ? a.node < b.node : a.has_ended > b.has_ended;
}

/// The searches of one request.
class Search {
 public:
  Search(const TrieRequest& request, const BeamOptions& options)
      : request_(request), options_(options), beams_(options.scores.size()) {}

  void start(model::PackedBatchBuilder& builder) {
    const Hypothesis root{.segment = builder.add_prompt(request_.prompt)};
    for (auto& beam : beams_) beam = {root};
    ask(builder, root);
  }
  /// Takes the answers to what was asked in the last batch and appends the tokens that survive to the next one.
  void step(const model::PackedBatch& batch, const double* log_p, model::PackedBatchBuilder& next) {
    std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> segments;  // by node and offset
    for (std::size_t b = 0; b < beams_.size(); ++b) {
      std::vector<Hypothesis> grown;
      for (const Hypothesis& hypothesis : beams_[b]) {
        if (hypothesis.has_ended)
          grown.push_back(hypothesis);
        else
          grow(hypothesis, options_.scores[b],
               log_p + batch.prediction_offsets[static_cast<std::size_t>(hypothesis.segment)], grown);
      }
      std::sort(grown.begin(), grown.end(), is_better);
      if (std::ssize(grown) > options_.num_beams) grown.resize(static_cast<std::size_t>(options_.num_beams));
      for (Hypothesis& hypothesis : grown) {
        if (hypothesis.has_ended) continue;
        const auto [place, is_new] = segments.try_emplace({hypothesis.node, hypothesis.offset});
        if (is_new) place->second = extend(hypothesis, next);
        hypothesis.segment = place->second;
      }
      beams_[b] = std::move(grown);
    }
  }
  bool is_done() const {
    return std::ranges::all_of(beams_, [](const auto& beam) {
      return std::ranges::all_of(beam, [](const Hypothesis& hypothesis) { return hypothesis.has_ended; });
    });
  }
  std::vector<std::vector<BeamHit>> hits() const {
    std::vector<std::vector<BeamHit>> hits(beams_.size());
    for (std::size_t b = 0; b < beams_.size(); ++b)
      for (const Hypothesis& hypothesis : beams_[b]) hits[b].push_back({hypothesis.node, hypothesis.score});
    return hits;
  }

 private:
  std::span<const data::TokenId> tokens(const Hypothesis& hypothesis) const {
    return request_.trie->tokens(hypothesis.node);
  }
  /// Of prompt and beginning.
  std::int64_t length(const Hypothesis& hypothesis) const {
    return std::ssize(request_.prompt) + request_.trie->node(hypothesis.node).depth + hypothesis.offset;
  }
  bool is_inside(const Hypothesis& hypothesis) const {
    return hypothesis.offset < request_.trie->node(hypothesis.node).num_tokens;
  }

  /// Appends the hypothesis' last token, behind the segment of those before, and asks what may follow.
  std::int64_t extend(Hypothesis hypothesis, model::PackedBatchBuilder& next) const {
    const data::TokenId token = tokens(hypothesis)[static_cast<std::size_t>(hypothesis.offset - 1)];
    hypothesis.segment = next.add_path(hypothesis.segment, length(hypothesis) - 1, {&token, 1});
    ask(next, hypothesis);
    return hypothesis.segment;
  }

  /// Makes every token that may follow a prediction of the hypothesis' segment.
  void ask(model::PackedBatchBuilder& builder, const Hypothesis& hypothesis) const {
    const auto predict = [&](data::TokenId token) { builder.predict(hypothesis.segment, length(hypothesis), token); };
    if (is_inside(hypothesis)) return predict(tokens(hypothesis)[static_cast<std::size_t>(hypothesis.offset)]);
    request_.trie->for_children(hypothesis.node, [&](std::int64_t child) { predict(request_.trie->tokens(child)[0]); });
  }

  /// Every way to go on; `log_p`: the answers to ask().
  void grow(const Hypothesis& hypothesis, PathScore score, const double* log_p, std::vector<Hypothesis>& grown) const {
    const bool is_masked = score == PathScore::masked;
    if (is_inside(hypothesis)) {
      add({hypothesis.node, hypothesis.offset + 1, hypothesis.score + (is_masked ? 0.0 : *log_p), hypothesis.segment},
          grown);
      return;
    }
    const double* const first = log_p;
    double total = 0, largest = *first;
    request_.trie->for_children(hypothesis.node, [&](std::int64_t) { largest = std::max(largest, *log_p++); });
    const double* value = first;
    request_.trie->for_children(hypothesis.node, [&](std::int64_t) { total += std::exp(*value++ - largest); });
    const double shift = is_masked ? largest + std::log(total) : 0.0;
    value = first;
    request_.trie->for_children(hypothesis.node, [&](std::int64_t child) {
      add({child, 1, hypothesis.score + (*value++ - shift), hypothesis.segment}, grown);
    });
  }

  void add(Hypothesis hypothesis, std::vector<Hypothesis>& grown) const {
    const TokenTrie::Node& node = request_.trie->node(hypothesis.node);
    if (!is_inside(hypothesis) && node.is_end) {
      grown.push_back(hypothesis);
      grown.back().has_ended = true;
    }
    if (is_inside(hypothesis) || !node.is_leaf(hypothesis.node)) grown.push_back(hypothesis);
  }

  const TrieRequest& request_;
  const BeamOptions& options_;
  std::vector<std::vector<Hypothesis>> beams_;  // by score; each best first
};

}  // namespace

BeamResults beam_search(model::Decoder& decoder, std::span<const TrieRequest> requests, const BeamOptions& options) {
  std::vector<Search> searches;
  std::int64_t num_rows = 0;
  model::PackedBatchBuilder builder;
  for (const TrieRequest& request : requests) {
    searches.emplace_back(request, options);
    num_rows += most_beam_rows(std::ssize(request.prompt), *request.trie, options);
    searches.back().start(builder);
  }
  model::KeyValueCache cache = decoder.make_cache(num_rows);
  BeamResults results;
  while (!builder.empty()) {
    const model::PackedBatch batch = builder.build();
    results.num_tokens_computed += batch.num_tokens();
    const at::Tensor log_p = decoder.log_probabilities(batch, &cache);
    model::PackedBatchBuilder next(batch);
    for (Search& search : searches) {
      if (!search.is_done()) search.step(batch, log_p.const_data_ptr<double>(), next);
    }
    builder = std::move(next);
  }
  for (const Search& search : searches) results.hits.push_back(search.hits());
  return results;
}

std::int64_t most_beam_rows(std::int64_t prompt_length, const TokenTrie& trie, const BeamOptions& options) {
  const std::int64_t num_hypotheses = options.num_beams * std::ssize(options.scores);
  return prompt_length + std::min(num_hypotheses * trie.longest(), trie.num_tokens());
}

}  // namespace allreco::eval
