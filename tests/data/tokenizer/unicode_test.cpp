// Words of any script, by hand: what Unicode's categories of these characters give.
#include "data/tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace allreco::data {
namespace {

using Words = std::vector<std::string>;

TEST(Words, AreRunsOfLettersAndDigitsInLowerCase) {
  EXPECT_EQ(words_of("Mint-Tea_24 count!"), (Words{"mint", "tea", "24", "count"}));
  EXPECT_EQ(words_of(""), Words{});
  EXPECT_EQ(words_of("- _ ."), Words{});
}

TEST(Words, OfOtherScriptsHaveLettersAndCasesToo) {
  EXPECT_EQ(words_of("Caf\u00E9\u2014Bar"), (Words{"caf\u00E9", "bar"}));  // em dash: Pd
  EXPECT_EQ(words_of("CAF\u00C9\u2122"), Words{"caf\u00E9"});              // trade mark sign: So
  EXPECT_EQ(words_of("\u0401\u041B\u041A\u0410\u00A0\u00BD"), (Words{"\u0451\u043B\u043A\u0430", "\u00BD"}));
  EXPECT_EQ(words_of("\u6771\u4EAC\u3001\u0663"), (Words{"\u6771\u4EAC", "\u0663"}));  // Lo, Po, Nd
  EXPECT_EQ(words_of("a\u203Fb\u200Cc"), (Words{"a", "b", "c"}));                      // Pc, Cf
}

TEST(Words, GoOnWithMarksAndBeginWithNone) {
  EXPECT_EQ(words_of("CAFE\u0301s"), Words{"cafe\u0301s"});
  EXPECT_EQ(words_of("\u0939\u093F\u0928\u094D\u0926\u0940"), Words{"\u0939\u093F\u0928\u094D\u0926\u0940"});
  EXPECT_EQ(words_of("I \u2764\uFE0F U"), (Words{"i", "u"}));  // a heart with its variation selector, a mark
}

TEST(Words, ArePartedByBytesThatAreNoText) { EXPECT_EQ(words_of("tea\xFFpot\xC3"), (Words{"tea", "pot"})); }

}  // namespace
}  // namespace allreco::data
