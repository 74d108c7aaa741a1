#include <gtest/gtest.h>

#include <chrono>

#include "core/check.h"
#include "core/regex.h"

namespace allreco::core {

namespace {

std::vector<std::string> all(const std::string& pattern, const std::string& subject, bool multiline = false) {
  std::vector<Regex::Span> matches;
  Regex("test", pattern, multiline).find_all(subject, matches);
  std::vector<std::string> texts;
  for (const Regex::Span& span : matches) texts.push_back(subject.substr(span.begin, span.end - span.begin));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

// Expected: what Python's re.findall gives, written out; save that an empty match right behind another is none.
TEST(RegexFindAll, FindsMatchesFromLeftToRight) {
  EXPECT_EQ(all("a+", "aabaca"), (Texts{"aa", "a", "a"}));
  EXPECT_EQ(all("x", "aab"), Texts());
  EXPECT_EQ(all("x*", "axxb"), (Texts{"", "xx", ""}));
  EXPECT_EQ(all("", "\u00e9"), (Texts{"", ""}));
  EXPECT_EQ(all("^a", "a\na"), (Texts{"a"}));
  EXPECT_EQ(all("^a", "a\na", true), (Texts{"a", "a"}));
  EXPECT_THROW(all("a", "a\xFF"), UserError);
}

// Checking all of the UTF-8 again for each match would be 4e12 bytes.
TEST(RegexFindAll, IsLinearInTheSubject) {
  const std::string subject(2'000'000, 'a');
  std::vector<Regex::Span> matches;
  const auto start = std::chrono::steady_clock::now();
  Regex("test", "\\p{L}").find_all(subject, matches);
  EXPECT_EQ(matches.size(), subject.size());
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20);
}

}  // namespace allreco::core
