#include "eval/token_trie.h"

#include <gtest/gtest.h>

#include <set>

#include "core/check.h"
#include "core/random.h"

namespace allreco::eval {
namespace {

using Sequence = TokenTrie::Sequence;

/// From the root to the end of a node.
Sequence path_of(const TokenTrie& trie, std::int64_t node) {
  Sequence path;
  for (; node > 0; node = trie.node(node).parent) {
    const auto tokens = trie.tokens(node);
    path.insert(path.begin(), tokens.begin(), tokens.end());
  }
  return path;
}

TEST(TokenTrie, SharesWhatSequencesBeginWith) {
  const TokenTrie trie({{1, 2, 3}, {1, 2}, {4}, {1, 2, 5, 6}, {4}});
  ASSERT_EQ(trie.nodes().size(), 5u);  // root, 1 2, 3, 5 6, 4
  EXPECT_EQ(path_of(trie, 1), (Sequence{1, 2}));
  EXPECT_EQ(trie.end_of(1), 1);
  EXPECT_TRUE(trie.node(1).is_end);
  EXPECT_EQ(path_of(trie, trie.end_of(0)), (Sequence{1, 2, 3}));
  EXPECT_EQ(path_of(trie, trie.end_of(3)), (Sequence{1, 2, 5, 6}));
  EXPECT_EQ(trie.end_of(2), trie.end_of(4));
  EXPECT_EQ(trie.num_distinct(), 4);
  EXPECT_EQ(trie.longest(), 4);
  EXPECT_EQ(trie.num_tokens(), 6);
  // Computed: 1 2 and 5; 3, 6 and 4 are only predicted.
  EXPECT_EQ(trie.num_computed(), 3);
  std::vector<std::int64_t> children;
  trie.for_children(0, [&](std::int64_t child) { children.push_back(child); });
  EXPECT_EQ(children, (std::vector<std::int64_t>{1, 4}));
  EXPECT_THROW(TokenTrie({{1}, {}}), core::Fault);
  EXPECT_EQ(TokenTrie({}).nodes().size(), 1u);
}

using Parting = std::pair<data::TokenId, std::int64_t>;

/// The first token of a sequence's node of parting, and how many stand before it.
Parting parting(const TokenTrie& trie, std::size_t i) {
  const std::int64_t node = trie.parting_of(i);
  return {trie.tokens(node)[0], trie.node(node).depth};
}

TEST(TokenTrie, SequencesPartBehindWhatAllShare) {
  const TokenTrie shared({{7, 8, 1, 9}, {7, 8, 2}, {7, 8, 1, 3}});
  EXPECT_EQ(parting(shared, 0), Parting(1, 2));
  EXPECT_EQ(parting(shared, 1), Parting(2, 2));
  EXPECT_EQ(parting(shared, 2), Parting(1, 2));
  const TokenTrie apart({{7, 1}, {7, 2}, {8}});
  EXPECT_EQ(parting(apart, 1), Parting(7, 0));
  EXPECT_EQ(parting(apart, 2), Parting(8, 0));
  const TokenTrie whole({{7, 8}, {7, 8, 1}});  // nothing of the first comes after what both share
  EXPECT_EQ(parting(whole, 0), Parting(7, 0));
  EXPECT_EQ(parting(whole, 1), Parting(7, 0));
  EXPECT_EQ(parting(TokenTrie({{7, 8}}), 0), Parting(7, 0));
}

/// Random sequences over few tokens: what a set of all beginnings says.
TEST(TokenTrie, HoldsExactlyTheGivenSequences) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    core::RandomStream stream(core::mix_key(seed, {core::key_of("trie")}));
    std::vector<Sequence> sequences(1 + stream.next_below(40));
    std::set<Sequence> beginnings, different;
    for (Sequence& s : sequences) {
      for (std::uint64_t i = 0, n = 1 + stream.next_below(9); i < n; ++i) {
        s.push_back(static_cast<data::TokenId>(stream.next_below(3)));
        beginnings.insert(s);
      }
      different.insert(s);
    }
    const TokenTrie trie(sequences);
    EXPECT_EQ(trie.num_distinct(), std::ssize(different));
    EXPECT_EQ(trie.num_tokens(), std::ssize(beginnings));  // each beginning is one token of the tree
    std::int64_t num_computed = 0;
    for (const Sequence& b : beginnings) {  // what something continues
      const auto next = beginnings.upper_bound(b);
      num_computed += next != beginnings.end() && std::ssize(*next) > std::ssize(b) &&
                      std::equal(b.begin(), b.end(), next->begin());
    }
    EXPECT_EQ(trie.num_computed(), num_computed);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      EXPECT_EQ(path_of(trie, trie.end_of(i)), sequences[i]);
      EXPECT_TRUE(trie.node(trie.end_of(i)).is_end);
      EXPECT_EQ(trie.node(trie.end_of(i)).length(), std::ssize(sequences[i]));
    }
    for (std::int64_t n = 1; n < std::ssize(trie.nodes()); ++n) {
      std::set<data::TokenId> first_tokens;
      std::int64_t num_children = 0;
      trie.for_children(n, [&](std::int64_t child) {
        EXPECT_EQ(trie.node(child).parent, n);
        first_tokens.insert(trie.tokens(child)[0]);
        ++num_children;
      });
      EXPECT_EQ(std::ssize(first_tokens), num_children);
      EXPECT_TRUE(num_children != 1 || trie.node(n).is_end);  // else the child would be the node's own end
      EXPECT_EQ(trie.node(n).is_leaf(n), num_children == 0);
    }
  }
}

}  // namespace
}  // namespace allreco::eval
