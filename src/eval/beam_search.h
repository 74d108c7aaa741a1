// Beam search over a trie: only its sequences can be said, so every result is valid.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "eval/trie_scoring.h"

namespace allreco::eval {

/// How a sequence is scored: by path_log_likelihoods, or by masked_log_likelihoods.
enum class PathScore { plain, masked };

struct BeamOptions {
  std::int64_t num_beams = 10;
  std::vector<PathScore> scores = {PathScore::plain};  // a search each
};

/// A sequence that was found: the node where it ends, and its log-likelihood.
struct BeamHit {
  std::int64_t node = 0;
  double score = 0;
};

struct BeamResults {
  std::vector<std::vector<std::vector<BeamHit>>> hits;  // [request][score]
  std::int64_t num_tokens_computed = 0;
};

/// For each request and score the sequences that survive, best first (equal scores: in the trie's order), at most
/// num_beams. A step goes on by one token; sequences that have ended stay in the beam with the score they have, and
/// nothing is divided by length. Requests share forward passes, one a token; the searches of a request share its prompt
/// and every hypothesis that several of them hold. Keys and values of all hypotheses are kept meanwhile.
BeamResults beam_search(model::Decoder& decoder, std::span<const TrieRequest> requests, const BeamOptions& options);

/// Rows of keys and values that a request's searches may need.
std::int64_t most_beam_rows(std::int64_t prompt_length, const TokenTrie& trie, const BeamOptions& options);

}  // namespace allreco::eval
