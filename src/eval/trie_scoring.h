// Scoring all sequences of a trie after a prompt: the prompt is computed once, and so is every token that sequences
// share.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/token_trie.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

/// What a model says of the nodes of a trie, in nats. [nodes]; the root's are 0.
struct TrieScores {
  std::vector<double> first;  // log p(the node's first token | prompt and path)
  std::vector<double> rest;   // sum of log p of its other tokens
};

/// By node: the sum of log p from the root to its end; for the end of a sequence its log-likelihood.
std::vector<double> path_log_likelihoods(const TokenTrie& trie, const TrieScores& scores);
/// The same with the probabilities at each node renormalised over the continuations that the trie has: the
/// log-probability of the sequence when only sequences of the trie can be said.
std::vector<double> masked_log_likelihoods(const TokenTrie& trie, const TrieScores& scores);

/// A trie and the prompt that its sequences continue; `trie` outlives the call.
struct TrieRequest {
  const TokenTrie* trie = nullptr;
  std::vector<data::TokenId> prompt;  // not empty
};

class TrieScorer {
 public:
  /// No forward pass holds more than `max_tokens` tokens, those of its prompts counted, unless one prompt, or one
  /// sequence behind it, has more. Memory is that of such a pass, however large the trie. `decoder` outlives this.
  TrieScorer(model::Decoder& decoder, std::int64_t max_tokens) : decoder_(decoder), max_tokens_(max_tokens) {}

  /// One result a request, in order. What a request's result is, to the last bit, depends on the requests of the same
  /// call alone. Requests that fit are computed together; the trie of one that does not is cut into several passes
  /// behind its prompt's cached keys and values.
  std::vector<TrieScores> score(std::span<const TrieRequest> requests);

  /// Tokens that went through the model since this was made.
  std::int64_t num_tokens_computed() const { return num_tokens_computed_; }

 private:
  class Pass;
  void run(Pass& pass, model::KeyValueCache* cache);
  void score_in_passes(const TrieRequest& request, TrieScores& scores);
  model::KeyValueCache& cache_of(std::int64_t num_rows);

  model::Decoder& decoder_;
  std::int64_t max_tokens_;
  std::int64_t num_tokens_computed_ = 0;
  std::int64_t cache_rows_ = 0;
  std::optional<model::KeyValueCache> cache_;
};

}  // namespace allreco::eval
