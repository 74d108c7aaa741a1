#include "eval/title_trie.h"

#include "core/check.h"

namespace allreco::eval {

TokenTrie title_trie(std::span<const data::Item> catalogue, std::optional<data::TokenId> end) {
  std::vector<TokenTrie::Sequence> titles;
  for (const data::Item& item : catalogue) {
    titles.push_back(item.tokens);
    if (end) titles.back().push_back(*end);
    if (titles.back().empty())
      core::user_error("item {} (\"{}\") has no tokens: it cannot be scored as an answer", item.id, item.title);
  }
  return TokenTrie(titles);
}

bool beam_prunes(std::int64_t num_beams, const TokenTrie& titles) { return num_beams < titles.num_distinct(); }

std::vector<double> scores_of_items(const TokenTrie& titles, std::span<const double> of_nodes) {
  std::vector<double> scores;
  for (std::size_t item = 0; item < titles.num_sequences(); ++item)
    scores.push_back(of_nodes[static_cast<std::size_t>(titles.end_of(item))]);
  return scores;
}

std::vector<double> scores_of_items(const TokenTrie& titles, std::span<const BeamHit> hits) {
  std::vector<double> of_nodes(titles.nodes().size(), kNotFound);
  for (const BeamHit& hit : hits) of_nodes[static_cast<std::size_t>(hit.node)] = hit.score;
  return scores_of_items(titles, std::span<const double>(of_nodes));
}

}  // namespace allreco::eval
