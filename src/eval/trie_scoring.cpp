#include "eval/trie_scoring.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace allreco::eval {

/// The segments of one forward pass, and the nodes whose scores they give.
class TrieScorer::Pass {
 public:
  Pass() = default;
  explicit Pass(const model::PackedBatch& kept) : builder_(kept) {}

  /// The whole of a request: its prompt, and all nodes.
  void add_whole(const TrieRequest& request, TrieScores& scores) {
    Tree tree = add_prompt(request, scores);
    for (std::int64_t node = 1; node < std::ssize(request.trie->nodes()); ++node) add_node(tree, node);
  }

  /// A request whose nodes' segments are known; -1 for the others.
  struct Tree {
    const TrieRequest* request = nullptr;
    TrieScores* scores = nullptr;
    std::vector<std::int64_t> segments;  // by node
  };

  Tree add_prompt(const TrieRequest& request, TrieScores& scores) {
    Tree tree{&request, &scores, std::vector<std::int64_t>(request.trie->nodes().size(), -1)};
    tree.segments[0] = builder_.add_prompt(request.prompt);
    predict_children(tree, 0);
    placed_.push_back({&scores, request.trie, 0, tree.segments[0]});
    return tree;
  }

  /// Its parent's segment must be there.
  void add_node(Tree& tree, std::int64_t node) {
    const TokenTrie& trie = *tree.request->trie;
    const std::int64_t segment = add_path(tree, node);
    if (segment < 0) return;
    const auto tokens = trie.tokens(node);
    for (std::size_t i = 1; i < tokens.size(); ++i)
      builder_.predict(segment, length_before(tree, node) + static_cast<std::int64_t>(i), tokens[i]);
    predict_children(tree, node);
    placed_.push_back({tree.scores, &trie, node, segment});
  }

  /// A node again, whose scores an earlier pass gave, for the nodes below it.
  std::int64_t add_path(Tree& tree, std::int64_t node) {
    const TokenTrie& trie = *tree.request->trie;
    const std::int64_t count = trie.num_computed(node);
    if (count == 0) return -1;
    std::int64_t& segment = tree.segments[static_cast<std::size_t>(node)];
    segment = builder_.add_path(tree.segments[static_cast<std::size_t>(trie.node(node).parent)],
                                length_before(tree, node), trie.tokens(node).first(static_cast<std::size_t>(count)));
    return segment;
  }

  std::int64_t num_tokens() const { return builder_.num_tokens(); }
  bool empty() const { return builder_.empty(); }
  model::PackedBatch build() const { return builder_.build(); }

  /// Puts the log-probabilities of the batch's predictions where they belong.
  void read(const model::PackedBatch& batch, const at::Tensor& log_probabilities) const {
    const double* const values = log_probabilities.const_data_ptr<double>();
    for (const Placed& placed : placed_) {
      const double* value = values + batch.prediction_offsets[static_cast<std::size_t>(placed.segment)];
      double& rest = placed.scores->rest[static_cast<std::size_t>(placed.node)];
      for (std::int64_t i = 1; i < placed.trie->node(placed.node).num_tokens; ++i) rest += *value++;
      placed.trie->for_children(
          placed.node, [&](std::int64_t child) { placed.scores->first[static_cast<std::size_t>(child)] = *value++; });
    }
  }

 private:
  /// A segment with predictions: its node's tokens behind the first, then the children's first ones.
  struct Placed {
    TrieScores* scores = nullptr;
    const TokenTrie* trie = nullptr;
    std::int64_t node = 0;
    std::int64_t segment = 0;
  };

  static std::int64_t length_before(const Tree& tree, std::int64_t node) {
    return std::ssize(tree.request->prompt) + tree.request->trie->node(node).depth;
  }

  void predict_children(const Tree& tree, std::int64_t node) {
    const TokenTrie& trie = *tree.request->trie;
    const std::int64_t length = std::ssize(tree.request->prompt) + trie.node(node).length();
    trie.for_children(node, [&](std::int64_t child) {
      builder_.predict(tree.segments[static_cast<std::size_t>(node)], length, trie.tokens(child)[0]);
    });
  }

  model::PackedBatchBuilder builder_;
  std::vector<Placed> placed_;
};

void TrieScorer::run(Pass& pass, model::KeyValueCache* cache) {
  if (pass.empty()) return;
  const model::PackedBatch batch = pass.build();
  num_tokens_computed_ += batch.num_tokens();
  pass.read(batch, decoder_.log_probabilities(batch, cache));
}

model::KeyValueCache& TrieScorer::cache_of(std::int64_t num_rows) {
  if (num_rows > cache_rows_) {
    cache_.reset();
    cache_.emplace(decoder_.make_cache(num_rows));
    cache_rows_ = num_rows;
  }
  return *cache_;
}

void TrieScorer::score_in_passes(const TrieRequest& request, TrieScores& scores) {
  const TokenTrie& trie = *request.trie;
  const std::int64_t prompt_length = std::ssize(request.prompt);
  const std::int64_t room = std::max(max_tokens_ - prompt_length, trie.longest());
  model::KeyValueCache& cache = cache_of(prompt_length + room);
  Pass prompt_pass;
  Pass::Tree tree = prompt_pass.add_prompt(request, scores);
  const model::PackedBatch kept = prompt_pass.build();
  run(prompt_pass, &cache);
  for (std::int64_t node = 1; node < std::ssize(trie.nodes());) {
    Pass pass(kept);
    std::vector<std::int64_t> path;  // computed again: a dozen tokens a pass
    for (std::int64_t above = trie.node(node).parent; above > 0; above = trie.node(above).parent) path.push_back(above);
    for (auto above = path.rbegin(); above != path.rend(); ++above) pass.add_path(tree, *above);
    do {
      pass.add_node(tree, node++);
    } while (node < std::ssize(trie.nodes()) && pass.num_tokens() + trie.num_computed(node) <= room);
    run(pass, &cache);
  }
}

std::vector<TrieScores> TrieScorer::score(std::span<const TrieRequest> requests) {
  std::vector<TrieScores> scores(requests.size());
  Pass pass;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const TrieRequest& request = requests[i];
    const std::size_t num_nodes = request.trie->nodes().size();
    scores[i] = {std::vector<double>(num_nodes, 0.0), std::vector<double>(num_nodes, 0.0)};
    const std::int64_t cost = std::ssize(request.prompt) + request.trie->num_computed();
    if (cost > max_tokens_) {
      score_in_passes(request, scores[i]);
      continue;
    }
    if (pass.num_tokens() + cost > max_tokens_) {
      run(pass, nullptr);
      pass = {};
    }
    pass.add_whole(request, scores[i]);
  }
  run(pass, nullptr);
  return scores;
}

std::vector<double> path_log_likelihoods(const TokenTrie& trie, const TrieScores& scores) {
  std::vector<double> sums(trie.nodes().size(), 0.0);
  for (std::size_t node = 1; node < sums.size(); ++node)
    sums[node] = sums[static_cast<std::size_t>(trie.nodes()[node].parent)] + scores.first[node] + scores.rest[node];
  return sums;
}

std::vector<double> masked_log_likelihoods(const TokenTrie& trie, const TrieScores& scores) {
  std::vector<double> sums(trie.nodes().size(), 0.0);
  for (std::int64_t node = 0; node < std::ssize(trie.nodes()); ++node) {
    double largest = -std::numeric_limits<double>::infinity(), total = 0;
    trie.for_children(
        node, [&](std::int64_t child) { largest = std::max(largest, scores.first[static_cast<std::size_t>(child)]); });
    trie.for_children(
        node, [&](std::int64_t child) { total += std::exp(scores.first[static_cast<std::size_t>(child)] - largest); });
    trie.for_children(node, [&](std::int64_t child) {
      const auto c = static_cast<std::size_t>(child);
      sums[c] = sums[static_cast<std::size_t>(node)] + scores.first[c] - (largest + std::log(total));
    });
  }
  return sums;
}

}  // namespace allreco::eval
