// Recommender: from histories to the items that the model holds most likely to come next, among the whole catalogue.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "eval/token_trie.h"
#include "eval/trie_scoring.h"
#include "model/decoder/decoder.h"
#include "recommend/item_index.h"
#include "recommend/prompts.h"
#include "recommend/request.h"

namespace allreco::recommend {

struct RankingOptions {
  std::string scoring = "log_likelihood";
  std::int64_t num_beams = 0;
  std::int64_t max_tokens_per_batch = 8192;

  std::vector<core::Option> options() {
    return {
        {"scoring",
         scoring,
         {"log_likelihood", "masked"},
         "log_likelihood: the sum of log p over a title's tokens and EOS. masked: with p at each token renormalised "
         "over the tokens that go on to some title of the catalogue."},
        {"num_beams", num_beams, core::between(0, 1e6),
         "Hypotheses of a beam search over the titles, for large catalogues; 0: every title is scored."},
        {"max_tokens_per_batch", max_tokens_per_batch, core::between(1, 1e8),
         "Tokens of one forward pass: memory and speed only."}};
  }
};

/// A request whose items are known.
struct Query {
  Prompt prompt;
  std::vector<std::uint32_t> left_out;  // items that are not to be recommended
  std::int64_t k = 0;
};

struct Recommendation {
  std::uint32_t item = 0;
  double probability = 0;     // softmax of the scores over all items that were ranked for this query
  double log_likelihood = 0;  // the score, in nats
};

class Recommender {
 public:
  /// Loads what the dataset says of items and prompts; no shard is opened. `decoder` outlives it. UserError when the
  /// dataset does not fit the model, or has no histories; see PromptBuilder. Warns once of a template that shows
  /// options.
  Recommender(model::Decoder& decoder, const data::DatasetInfo& info, const RankingOptions& options);

  const ItemIndex& index() const { return index_; }

  /// Any thread. RequestError naming the first item that is not known, with the nearest one, and for more items than a
  /// beam holds.
  Query query_of(const Request& request) const;

  /// One list a query, best first, equal scores by id; shorter than k where fewer items are left, or found. One thread
  /// at a time. Queries share forward passes; how they are put together changes the scores by rounding only. Fault for
  /// scores that are not finite.
  std::vector<std::vector<Recommendation>> recommend(std::span<const Query> queries);

 private:
  /// A beam that holds all titles prunes none, and all are scored.
  bool uses_beams() const;
  /// scores[query][item]; -infinity: not found.
  std::vector<std::vector<double>> score(std::span<const eval::TrieRequest> requests);
  std::vector<std::vector<double>> search(std::span<const eval::TrieRequest> requests);

  model::Decoder& decoder_;
  RankingOptions options_;
  ItemIndex index_;
  PromptBuilder prompts_;
  eval::TokenTrie trie_;
  eval::TrieScorer scorer_;
};

}  // namespace allreco::recommend
