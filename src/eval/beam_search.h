// Beam search over a trie: only its sequences can be said, so every result is valid.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "eval/trie_scoring.h"

namespace allreco::eval {

struct BeamOptions {
  std::int64_t num_beams = 10;
  bool masked = false;  // by masked_log_likelihoods instead of path_log_likelihoods
};

/// A sequence that was found: the node where it ends, and its log-likelihood.
struct BeamHit {
  std::int64_t node = 0;
  double score = 0;
};

struct BeamResults {
  std::vector<std::vector<BeamHit>> hits;  // by request
  std::int64_t num_tokens_computed = 0;
};

/// For each request the sequences that survive, best first (equal scores: in the trie's order), at most num_beams. A
/// step goes on by one token; sequences that have ended stay in the beam with the score they have, and nothing is
/// divided by length. Requests share forward passes, one a token; keys and values of all hypotheses of all requests are
/// kept meanwhile.
BeamResults beam_search(model::Decoder& decoder, std::span<const TrieRequest> requests, const BeamOptions& options);

}  // namespace allreco::eval
