#include "data/input/titles.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "data/input/line_reader.h"

namespace allreco::data {

namespace {

std::string cleaned(std::string_view raw) {
  const CleanTitle title = clean_title(raw, 200);
  EXPECT_EQ(title.text.empty(), title.problem != TitleProblem::none) << raw;
  return title.text;
}

TitleProblem problem_of(std::string_view raw) { return clean_title(raw, 200).problem; }

}  // namespace

// The dirt of the published files (the first three as they stand there), each with the text that a shopper saw.
TEST(TitlesTest, CleansTheDirtOfTheRealFiles) {
  const std::pair<const char*, const char*> cases[] = {
      {" Maggiano&#39;s Gift Card", "Maggiano's Gift Card"},
      {" Amazon Gift Card - Print - Happy Valentine&#39;s Day", "Amazon Gift Card - Print - Happy Valentine's Day"},
      {"12 Month Warranty &gt;&gt;&gt; THT Trading", "12 Month Warranty >>> THT Trading"},
      {"Camcorder &amp; Computer Video", "Camcorder & Computer Video"},
      {"Twice &amp;amp; encoded &amp;#39;s", "Twice & encoded 's"},
      {"Caf&eacute; &#x201C;Noir&#x201d; &#150; 12&nbsp;oz", "Café “Noir” – 12 oz"},
      {"<b>Bold</b>, then<br>broken<br/>lines", "Bold, then broken lines"},
      {"<span class=\"a-size-medium a-color-secondary\">Wired</span>", "Wired"},
      {"Wired <span class=\"a-size-medium a-color-secondary\"", "Wired"},
      {"&lt;b&gt;Hidden&lt;/b&gt; tags", "Hidden tags"},
      {"A<!-- note --> comment", "A comment"},
      {"Before<script>var x = '<b>';</script>After", "Before After"},
      {"I <3 U mug, size <5 & >2", "I <3 U mug, size <5 & >2"},
      {"less<than a pound", "less<than a pound"},
      {"AT&T &nosuch; &; &#0; &#xD800;", "AT&T &nosuch; &; &#0; &#xD800;"},
      {"two\n\n lines\tand\u00A0space\u200B", "two lines and space"},
      {"\u65E5\u672C\u8A9E", "\u65E5\u672C\u8A9E"},
  };
  for (const auto& [raw, expected] : cases) EXPECT_EQ(cleaned(raw), expected);
}

TEST(TitlesTest, SaysWhyATitleIsUnusable) {
  EXPECT_EQ(problem_of(""), TitleProblem::missing);
  EXPECT_EQ(problem_of(" \n\u00A0"), TitleProblem::missing);
  EXPECT_EQ(problem_of("var aPageStart = (new Date()).getTime();"), TitleProblem::script);
  EXPECT_EQ(problem_of("<span class=\"a-size-medium a-color-secondary\""), TitleProblem::markup_only);
  EXPECT_EQ(problem_of("<b></b>&nbsp;- ."), TitleProblem::markup_only);
  EXPECT_EQ(problem_of("<script>alert(1)"), TitleProblem::markup_only);
}

// "&" and n times "amp;" takes n rounds: a length that no one would wait for if it were decoded to its end.
TEST(TitlesTest, GivesUpMarkupThatLiesTooDeepInItself) {
  const auto nested = [](int depth) {
    std::string title = "A &";
    for (int i = 0; i < depth; ++i) title += "amp;";
    return title;
  };
  EXPECT_EQ(cleaned(nested(15)), "A &");
  EXPECT_EQ(problem_of(nested(16)), TitleProblem::markup_only);
  EXPECT_EQ(problem_of(nested(1'000'000)), TitleProblem::markup_only);
  EXPECT_EQ(cleaned("A" + std::string(1'000'000, '&')).size(), 200u);  // each looks for its end nearby
}

TEST(TitlesTest, WhatACutMakesOfATitleIsCleanToo) {
  const CleanTitle title = clean_title("gluten <br-free bread", 10);
  EXPECT_EQ(title.text, clean_title(title.text, 10).text);
  EXPECT_EQ(clean_title("<br-free-bread", 3).problem, TitleProblem::markup_only);
}

TEST(TitlesTest, CutsLongTitlesAtAWordAndNeverInsideACharacter) {
  const CleanTitle words = clean_title("one two three four", 12);
  EXPECT_EQ(words.text, "one two");
  EXPECT_TRUE(words.was_cut);
  EXPECT_EQ(clean_title("one two three", 13).text, "one two three");
  EXPECT_EQ(clean_title("one two three", 7).text, "one two");  // the limit falls on a space
  EXPECT_EQ(clean_title("éééééééééé", 4).text, "éééé");        // no space: a hard cut, in characters
  EXPECT_FALSE(clean_title("éééé", 4).was_cut);
}

TEST(TitlesTest, CleaningACleanTitleChangesNothing) {
  LineReader lines(ALLRECO_SOURCE_DIR "/examples/gift-cards/metadata.json.gz");
  std::string line;
  int num_titles = 0;
  int num_changed = 0;
  while (lines.next(line)) {
    const std::string raw = core::Json::parse(line)["title"];
    const std::string once = cleaned(raw);
    num_changed += once == raw ? 0 : 1;
    EXPECT_EQ(cleaned(once), once);
    EXPECT_EQ(once.find("  "), std::string::npos);
    EXPECT_EQ(once.find("&#"), std::string::npos);
    ++num_titles;
  }
  EXPECT_EQ(num_titles, 148);
  EXPECT_GT(num_changed, 0);
}

}  // namespace allreco::data
