// The titles of a catalogue as one trie, and the scores of its nodes as scores of items.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "data/store/dataset.h"
#include "eval/beam_search.h"
#include "eval/token_trie.h"

namespace allreco::eval {

/// The score of an item that a search has not found.
inline constexpr double kNotFound = -std::numeric_limits<double>::infinity();

/// Sequence i is what an answer with the title of item i says: its tokens, and the one that ends answers, if one does.
/// UserError for an item of which nothing is left to score.
TokenTrie title_trie(std::span<const data::Item> catalogue, std::optional<data::TokenId> end);

/// Whether a search with so many hypotheses leaves titles out. A beam that can hold all of them prunes none, and
/// scoring each title once is then the cheaper way to the same.
bool beam_prunes(std::int64_t num_beams, const TokenTrie& titles);

/// One score an item, from one a node, or from what a search found: items with equal tokens get equal ones.
std::vector<double> scores_of_items(const TokenTrie& titles, std::span<const double> of_nodes);
std::vector<double> scores_of_items(const TokenTrie& titles, std::span<const BeamHit> hits);

}  // namespace allreco::eval
