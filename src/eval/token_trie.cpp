#include "eval/token_trie.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace allreco::eval {

namespace {

using Sequence = TokenTrie::Sequence;

/// The order of the sequences, by tokens; equal ones stay neighbours.
std::vector<std::size_t> sorted_order(const std::vector<Sequence>& sequences) {
  std::vector<std::size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sequences[a] < sequences[b]; });
  return order;
}

/// How many tokens two sequences have in common at their beginning.
std::int64_t common_length(const Sequence& a, const Sequence& b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return in_a - a.begin();
}

}  // namespace

TokenTrie::TokenTrie(const std::vector<Sequence>& sequences) : ends_(sequences.size()) {
  const std::vector<std::size_t> order = sorted_order(sequences);
  const auto sequence = [&](std::size_t i) -> const Sequence& { return sequences[order[i]]; };
  nodes_.push_back({});

  /// Sorted sequences [begin, end), which share their first `depth` tokens: a subtree that is still to be made.
  struct Pending {
    std::int64_t parent;
    std::size_t begin, end;
    std::int64_t depth;
  };
  std::vector<Pending> pending;
  const auto add_children = [&](std::int64_t parent, std::size_t begin, std::size_t end, std::int64_t depth) {
    // Last group first: the one on top of the stack is the next in preorder.
    while (end > begin) {
      const data::TokenId token = sequence(end - 1)[static_cast<std::size_t>(depth)];
      std::size_t first = end - 1;
      while (first > begin && sequence(first - 1)[static_cast<std::size_t>(depth)] == token) --first;
      pending.push_back({parent, first, end, depth});
      end = first;
    }
  };
  for (const Sequence& s : sequences) core::require(!s.empty(), "a sequence of a trie needs a token");
  add_children(0, 0, order.size(), 0);
  while (!pending.empty()) {
    auto [parent, begin, end, depth] = pending.back();
    pending.pop_back();
    const auto index = std::ssize(nodes_);
    const std::int64_t length = common_length(sequence(begin), sequence(end - 1));
    const auto from = sequence(begin).begin();
    nodes_.push_back({parent, 0, depth, length - depth, std::ssize(tokens_), false});
    tokens_.insert(tokens_.end(), from + depth, from + length);
    longest_ = std::max(longest_, length);
    for (; begin < end && std::ssize(sequence(begin)) == length; ++begin) {
      num_distinct_ += !nodes_.back().is_end;
      nodes_.back().is_end = true;
      ends_[order[begin]] = index;
    }
    add_children(index, begin, end, length);
  }
  for (std::int64_t i = std::ssize(nodes_) - 1; i >= 0; --i) {
    Node& n = nodes_[static_cast<std::size_t>(i)];
    n.end = std::max(n.end, i + 1);
    if (n.parent >= 0) nodes_[static_cast<std::size_t>(n.parent)].end = std::max(node(n.parent).end, n.end);
    if (i > 0) num_computed_ += num_computed(i);
  }
}

}  // namespace allreco::eval
