// TokenTrie: many token sequences as one tree, in which sequences that begin alike share nodes. Immutable.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "data/tokenizer/token_id.h"

namespace allreco::eval {

/// Nodes are numbered in preorder; node 0 is the root, without tokens. A node ends where sequences part, or where one
/// ends.
class TokenTrie {
 public:
  using Sequence = std::vector<data::TokenId>;

  struct Node {
    std::int64_t parent = -1;
    std::int64_t end = 0;          // nodes [own index, end) are its subtree; so its children are own index + 1, that
                                   // one's end, ...
    std::int64_t depth = 0;        // tokens before its own
    std::int64_t num_tokens = 0;   // 0 for the root only
    std::int64_t first_token = 0;  // of them, in the trie's token array
    bool is_end = false;           // some sequence ends here; true for all leaves
    bool is_leaf(std::int64_t own_index) const { return end == own_index + 1; }
    /// Tokens of a sequence that ends here.
    std::int64_t length() const { return depth + num_tokens; }
  };

  /// Equal sequences share their end. REQUIRES none to be empty.
  explicit TokenTrie(const std::vector<Sequence>& sequences);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(std::int64_t index) const { return nodes_[static_cast<std::size_t>(index)]; }
  std::span<const data::TokenId> tokens(std::int64_t index) const {
    const Node& n = node(index);
    return std::span(tokens_).subspan(static_cast<std::size_t>(n.first_token), static_cast<std::size_t>(n.num_tokens));
  }
  /// Calls visit(child) for each child of a node, in order.
  template <class Visit>
  void for_children(std::int64_t index, const Visit& visit) const {
    for (std::int64_t child = index + 1; child < node(index).end; child = node(child).end) visit(child);
  }
  /// Where sequence i of the constructor ends.
  std::int64_t end_of(std::size_t i) const { return ends_[i]; }
  /// The node whose first token is the first one of sequence i that not all sequences have: below the root, or below
  /// the beginning that all share. Where that is a whole sequence nothing is below it for all of them: then itself.
  std::int64_t parting_of(std::size_t i) const {
    const bool all_share_more = node(1).end == std::ssize(nodes_) && !node(1).is_end;
    std::int64_t index = ends_[i];
    while (node(index).parent != (all_share_more ? 1 : 0)) index = node(index).parent;
    return index;
  }
  std::size_t num_sequences() const { return ends_.size(); }
  /// Different ones.
  std::int64_t num_distinct() const { return num_distinct_; }
  std::int64_t longest() const { return longest_; }
  /// Of all nodes.
  std::int64_t num_tokens() const { return std::ssize(tokens_); }
  /// Of a node, those that must be computed to score what stands below and in it: the last token of a leaf only has to
  /// be predicted.
  std::int64_t num_computed(std::int64_t index) const {
    const Node& n = node(index);
    return n.is_leaf(index) ? n.num_tokens - 1 : n.num_tokens;
  }
  /// Of all nodes.
  std::int64_t num_computed() const { return num_computed_; }

 private:
  std::vector<Node> nodes_;
  std::vector<data::TokenId> tokens_;
  std::vector<std::int64_t> ends_;  // by sequence
  std::int64_t num_distinct_ = 0, longest_ = 0, num_computed_ = 0;
};

}  // namespace allreco::eval
