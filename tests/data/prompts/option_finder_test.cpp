#include "data/prompts/option_finder.h"

#include <gtest/gtest.h>

#include "support/message_of.h"

namespace allreco::data {
namespace {

using Options = std::vector<std::string>;

OptionFinder by_letters() { return OptionFinder::by_labels(load_template("study")); }

TEST(OptionFinder, CutsTheLastListAtItsLabels) {
  const auto found = by_letters().find(
      "He bought Vitamin A) one, B) two. Which next?  A) Tea, 12 Count, B) Ice-cream, C) Soap, D) Rice.\n\n### "
      "Response:\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->options, (Options{"Tea, 12 Count", "Ice-cream", "Soap", "Rice"}));
  const auto lines = by_letters().find("Choose:\nA) Tea\nB) Soap\n\nAnswer:");
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->options, (Options{"Tea", "Soap"}));
  EXPECT_FALSE(by_letters().find("Vitamin A) but nothing else"));
  EXPECT_FALSE(by_letters().find(""));
  PromptTemplate without_labels = load_template("study");
  without_labels.option_item = "{title}";
  EXPECT_FALSE(OptionFinder::by_labels(without_labels).find("A) x, B) y"));
}

TEST(OptionFinder, TakesAPatternsGroupsOrItsMatches) {
  const std::string text = "Options: <tea> <soap> <rice>";
  EXPECT_EQ(OptionFinder::by_pattern("<([^>]*)>").find(text)->options, (Options{"tea", "soap", "rice"}));
  EXPECT_EQ(OptionFinder::by_pattern("<(.*)> <(.*)> <.*>").find(text)->options, (Options{"tea", "soap"}));
  EXPECT_EQ(OptionFinder::by_pattern("<[a-z]+>").find(text)->options, (Options{"<tea>", "<soap>", "<rice>"}));
  EXPECT_FALSE(OptionFinder::by_pattern("x*").find(text));
  EXPECT_NE(support::message_of<core::UserError>([] { OptionFinder::by_pattern("(tea"); }).find("option_pattern"),
            std::string::npos);
}

TEST(OptionFinder, FinalStopsBelongToTheSentenceOrToTitles) {
  Options a{"Tea 5 oz.", "Soap."}, b{"Rice", "Bar 2 oz.."};
  std::vector<Options*> lists{&a, &b};
  remove_final_stops(lists);
  EXPECT_EQ(a, (Options{"Tea 5 oz.", "Soap"}));
  EXPECT_EQ(b, (Options{"Rice", "Bar 2 oz."}));
  Options c{"Yes.", "No."};
  lists = {&c};
  remove_final_stops(lists);
  EXPECT_EQ(c, (Options{"Yes.", "No."}));
}

}  // namespace
}  // namespace allreco::data
