#include "core/regex.h"

#include <gtest/gtest.h>

#include <chrono>

#include "core/check.h"
#include "support/message_of.h"

namespace allreco::core {
namespace {

std::string refusal(const std::string& pattern, const std::string& subject = "") {
  return support::message_of([&] { Regex("option", pattern).matches_all(subject); });
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Regex, MatchesAllOrAPrefixOrAnywhere) {
  const Regex regex("option", "b+");
  EXPECT_TRUE(regex.matches_all("bb"));
  EXPECT_FALSE(regex.matches_all("bbc"));
  EXPECT_FALSE(regex.matches_all("abb"));
  EXPECT_FALSE(regex.matches_all(""));
  EXPECT_TRUE(regex.match_prefix("bbc").has_value());
  EXPECT_FALSE(regex.match_prefix("abb").has_value());
  const auto found = regex.search("abbc");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->at(0)->begin, 1u);
  EXPECT_EQ(found->at(0)->end, 3u);
  EXPECT_TRUE(regex.search("bcb", 1).has_value());
  EXPECT_EQ(regex.search("bcb", 1)->at(0)->begin, 2u);
  EXPECT_FALSE(regex.search("bc", 1).has_value());
  EXPECT_TRUE(Regex("option", "a|ab").matches_all("ab")) << "a full match is looked for beyond the first alternative";
}

TEST(Regex, GroupsThatTookNoPartAreNone) {
  const auto groups = Regex("option", "(a)|(b)(c)?").match_prefix("b");
  ASSERT_TRUE(groups.has_value());
  ASSERT_EQ(groups->size(), 4u);
  EXPECT_FALSE(groups->at(1).has_value());
  ASSERT_TRUE(groups->at(2).has_value());
  EXPECT_EQ(groups->at(2)->end, 1u);
  EXPECT_FALSE(groups->at(3).has_value());
}

TEST(Regex, ReadsUtf8) {
  EXPECT_TRUE(Regex("option", ".").matches_all("é")) << "one character of two bytes";
  EXPECT_TRUE(Regex("option", "\\w+").matches_all("naïve日本"));
  EXPECT_TRUE(Regex("option", "[à-ü]").matches_all("é"));
  EXPECT_EQ(Regex("option", "本").search("日本")->at(0)->begin, 3u);
  EXPECT_NE(refusal(".*", "\xff").find("option"), std::string::npos);
  EXPECT_NE(refusal("\xff").find("option"), std::string::npos);
}

TEST(Regex, RefusesWhatIsMalformedOrTooLargeByName) {
  for (const char* pattern : {"(", ")", "[a", "*", "a{2,1}", "\\C", "(?<=a+)b"})
    EXPECT_NE(refusal(pattern).find("option: not a regular expression"), std::string::npos) << pattern;
  EXPECT_EQ(refusal(repeated("(", 250) + repeated(")", 250)), "");
  EXPECT_NE(refusal(repeated("(", 251) + repeated(")", 251)), "");
  EXPECT_NE(refusal(repeated("(", 20000) + repeated(")", 20000)), "") << "std::regex overflows the stack here";
  EXPECT_NE(refusal(std::string(64 * 1024 + 1, 'a')).find("65537 bytes"), std::string::npos);
}

// Each of these would take longer than the universe, or all memory.
TEST(Regex, GivesUpOnHostilePatternsSoon) {
  const std::vector<std::pair<std::string, std::string>> hostile{
      {"(.|.)*q_proj", std::string(100, 'a')},
      {"(a+)+b", std::string(100, 'a')},
      {"(a|aa)+$", std::string(100, 'a') + "b"},
      {"(.*)*x\\1", std::string(2000, 'a')},
      {"((a{0,100}){0,100}){0,100}b", std::string(100, 'a')},
  };
  for (const auto& [pattern, subject] : hostile) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string message = refusal(pattern, subject);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << pattern;
    // Where PCRE2 sees at once that there is no match, or that the pattern is too large, that is an answer, too.
    if (!message.empty()) {
      EXPECT_TRUE(message.starts_with("option: ")) << message;
    }
  }
  EXPECT_NE(refusal("(.|.)*q_proj", std::string(100, 'a') + "q_projx").find("option: matching"), std::string::npos);
}

// More than the 32 KiB of stack that compiled code has: search() uses it, the anchored functions interpret.
TEST(Regex, LongSubjectsThatExceedTheStackOfCompiledPatternsStillMatch) {
  const Regex regex("option", "(?:(a)|(b))*c");
  const std::string subject = repeated("ab", 10000);
  const auto found = regex.search(subject + "c");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->at(0)->end, subject.size() + 1);
  EXPECT_TRUE(regex.matches_all(subject + "c"));
  EXPECT_FALSE(regex.matches_all(subject + "cd"));
}

TEST(Regex, CanBeMoved) {
  Regex first("option", "a"), second("option", "b");
  second = std::move(first);
  EXPECT_TRUE(second.matches_all("a"));
}

}  // namespace
}  // namespace allreco::core
