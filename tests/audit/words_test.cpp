#include "audit/words.h"

#include <gtest/gtest.h>

#include <set>

#include "core/random.h"

namespace allreco::audit {
namespace {

Words random_words(core::RandomStream& stream, std::size_t count, std::uint64_t num_different) {
  Words words;
  for (std::size_t i = 0; i < count; ++i) words.push_back(static_cast<std::uint32_t>(stream.next_below(num_different)));
  return words;
}

TEST(Words, CutsAtWhatIsNoLetterOrDigit) {
  Vocabulary vocabulary;
  const Words words = vocabulary.words_of("Soap, 12oz! soap");
  ASSERT_EQ(words.size(), 3U);
  EXPECT_EQ(words[0], words[2]);
  EXPECT_EQ(vocabulary.words_of("  \n--"), Words());
  EXPECT_EQ(vocabulary.words_of("caf\xC3\xA9"), vocabulary.words_of("(CAF\xC3\xA9)"));
}

TEST(Words, ShinglesAreTheDistinctRuns) {
  EXPECT_EQ(shingles_of({1, 2, 1, 2, 1, 2}, 3).size(), 2U);  // 1 2 1 and 2 1 2
  EXPECT_EQ(shingles_of({1, 2}, 3).size(), 1U);
  EXPECT_TRUE(shingles_of({}, 3).empty());
  EXPECT_EQ(jaccard(shingles_of({1, 2, 3, 4}, 3), shingles_of({2, 3, 4, 5}, 3)), 1.0 / 3);
}

// Beside a search of every phrase at every place.
TEST(Words, PhraseIndexFindsWhatASearchFinds) {
  core::RandomStream stream(core::key_of("phrases"));
  std::vector<Words> phrases{{}};
  for (std::size_t i = 0; i < 200; ++i) phrases.push_back(random_words(stream, 1 + stream.next_below(5), 6));
  const PhraseIndex index(phrases);
  std::size_t num_found = 0;
  for (int round = 0; round < 50; ++round) {
    const Words text = random_words(stream, stream.next_below(12), 6);
    std::vector<std::uint32_t> expected;
    for (std::uint32_t p = 0; p < phrases.size(); ++p) {
      bool is_found = false;
      for (std::size_t begin = 0; !phrases[p].empty() && begin + phrases[p].size() <= text.size(); ++begin)
        is_found =
            is_found || Words(text.begin() + static_cast<std::ptrdiff_t>(begin),
                              text.begin() + static_cast<std::ptrdiff_t>(begin + phrases[p].size())) == phrases[p];
      if (is_found) expected.push_back(p);
      EXPECT_EQ(contains(text, phrases[p]), is_found);
    }
    EXPECT_EQ(index.find_in(text), expected);
    num_found += expected.size();
  }
  EXPECT_GT(num_found, 100U);
}

}  // namespace
}  // namespace allreco::audit
