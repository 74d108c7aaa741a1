#include "eval/title_trie.h"

#include <gtest/gtest.h>

#include "support/message_of.h"

namespace allreco::eval {
namespace {

using Scores = std::vector<double>;

/// Items 0 and 3 are the same title; that of item 1 goes on from it.
const std::vector<data::Item> kItems{
    {0, "", "a", 0, {7, 8}}, {1, "", "b", 0, {7, 8, 9}}, {2, "", "c", 0, {5}}, {3, "", "a", 0, {7, 8}}};

TEST(TitleTrie, HoldsWhatAnswersSay) {
  const TokenTrie open = title_trie(kItems, std::nullopt), ended = title_trie(kItems, 2);
  EXPECT_EQ(open.num_sequences(), 4u);
  EXPECT_EQ(open.num_distinct(), 3);
  EXPECT_EQ(open.longest(), 3);
  EXPECT_EQ(ended.longest(), 4);
  EXPECT_EQ(ended.node(ended.end_of(2)).length(), 2);
  const std::vector<data::Item> untitled{{0, "", "a", 0, {7}}, {1, "", "", 0, {}}};
  EXPECT_EQ(title_trie(untitled, 2).node(title_trie(untitled, 2).end_of(1)).length(), 1);
  EXPECT_EQ(support::message_of([&] { title_trie(untitled, std::nullopt); }),
            "item 1 (\"\") has no tokens: it cannot be scored as an answer");
}

TEST(TitleTrie, ABeamThatHoldsAllTitlesPrunesNone) {
  const TokenTrie trie = title_trie(kItems, 2);  // three titles of four items
  EXPECT_TRUE(beam_prunes(2, trie));
  EXPECT_FALSE(beam_prunes(3, trie));
  EXPECT_FALSE(beam_prunes(4, trie));
}

TEST(TitleTrie, ItemsHaveTheScoresOfTheirEnds) {
  const TokenTrie trie = title_trie(kItems, 2);
  Scores of_nodes(trie.nodes().size(), 99);
  of_nodes.at(static_cast<std::size_t>(trie.end_of(0))) = -1;
  of_nodes.at(static_cast<std::size_t>(trie.end_of(1))) = -2;
  of_nodes.at(static_cast<std::size_t>(trie.end_of(2))) = -3;
  EXPECT_EQ(scores_of_items(trie, of_nodes), (Scores{-1, -2, -3, -1}));
  const std::vector<BeamHit> hits{{trie.end_of(3), -0.5}, {trie.end_of(2), -4}};
  EXPECT_EQ(scores_of_items(trie, hits), (Scores{-0.5, kNotFound, -4, -0.5}));
}

}  // namespace
}  // namespace allreco::eval
