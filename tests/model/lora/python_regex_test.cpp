#include "model/lora/python_regex.h"

#include <gtest/gtest.h>

#include "model/golden.h"
#include "support/message_of.h"

namespace allreco::model {
namespace {

bool fullmatch(const std::string& pattern, const std::string& subject) {
  return PythonRegex("option", pattern).fullmatch(subject);
}

// Expected values: python3 -c "import re; print(bool(re.fullmatch(PATTERN, SUBJECT)))" of Python 3.11.
TEST(PythonRegex, MatchesAsPythonDoes) {
  struct Case {
    const char* pattern;
    const char* subject;
    bool matches;
  };
  const std::vector<Case> cases{
      {R"(.*\.(q|v)_proj)", "model.layers.0.self_attn.q_proj", true},
      {R"(.*\.(q|v)_proj)", "model.layers.0.self_attn.k_proj", false},
      {R"(model\.layers\.\d+\.mlp\.up_proj)", "model.layers.10.mlp.up_proj", true},
      {R"([]a]+)", "]a]", true},
      {R"([^]a]+)", "bc", true},
      {R"([^]a]+)", "b]", false},
      {R"([\]a]+)", "]a", true},
      {R"((a)?b\1)", "b", false},  // a group that took no part matches nothing, not the empty text
      {R"((a)b\1)", "aba", true},
      {R"((?P<x>a)(?P=x))", "aa", true},
      {R"((?i:Q)_proj)", "q_proj", true},
      {R"((?<=a)b)", "b", false},
      {R"(a(?<=a)b)", "ab", true},
      {R"(a(?!b)c)", "ac", true},
      {R"(a{2})", "aa", true},
      {R"(a{x})", "a{x}", true},
      {R"(a.b)", "a\nb", false},
      {R"(a$)", "a", true},
      {R"(a|ab)", "ab", true},
      {R"(\w+)", "é", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(fullmatch(c.pattern, c.subject), c.matches) << c.pattern << " on " << c.subject;
  }
}

// What PCRE2 takes for something else than Python, or only one of them knows.
TEST(PythonRegex, RefusesWhatWouldMeanSomethingElse) {
  for (const char* pattern :
       {R"(a\Z)",    R"(\A)",   R"(\z)",   R"(\h)",    R"(\K)",   R"(\R)",     R"(\Qa\E)",  R"(\p{L})",  R"(\x41)",
        R"(\u0041)", R"(\N)",   R"(\g1)",  R"(\k<a>)", R"(\q)",   R"(\0)",     R"((a)\10)", "a{,3}",     "[[:alpha:]]",
        "[a[.b]",    "[[=a=]]", "(?<n>a)", "(?'n'a)",  "(?|a|b)", "(?R)",      "(?1)",      "(?&n)",     "(?P>n)",
        "(?x)a b",   "(?i)a",   "(?L:a)",  "(?U)a*",   "(?C1)",   "(?(1)a|b)", "(*UTF)a",   "(*ACCEPT)", "a(*FAIL)"}) {
    const std::string message = support::message_of([&] { PythonRegex("option", pattern); });
    EXPECT_NE(message.find("option = "), std::string::npos) << pattern << ": " << message;
    EXPECT_NE(message.find("is not supported in a regular expression here"), std::string::npos) << message;
  }
  EXPECT_NO_THROW(PythonRegex("option", "[(?R)(*a]\\(\\?")) << "in a class, or escaped, all are plain";
}

TEST(PythonRegex, HostilePatternsEndInAnError) {
  const std::string deep = std::string(20000, '(') + std::string(20000, ')');
  EXPECT_NE(support::message_of([&] { PythonRegex("option", deep); }).find("option = (((("), std::string::npos);
  EXPECT_LT(support::message_of([&] { PythonRegex("option", deep); }).size(), 500u);
  const PythonRegex slow("option", "(.|.)*q_proj");
  EXPECT_TRUE(slow.fullmatch("q_proj"));
  const std::string message = support::message_of([&] { slow.fullmatch(std::string(60, 'a') + "q_projx"); });
  EXPECT_NE(message.find("option = (.|.)*q_proj"), std::string::npos) << message;
}

TEST(PythonRegex, LastGroup) {
  const PythonRegex layers("option", R"((?:^|.*?\.)layers\.(\d+)\.)");
  EXPECT_EQ(layers.last_group("model.layers.12.mlp"), "12");
  EXPECT_EQ(layers.last_group("model.blocks.12.mlp"), std::nullopt);
  EXPECT_EQ(PythonRegex("option", "a(b)?").last_group("ac"), "");
}

}  // namespace
}  // namespace allreco::model
