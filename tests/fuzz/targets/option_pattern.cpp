// --option_pattern: any regular expression over any text, and the labels of the default template.
#include "core/check.h"
#include "data/prompts/option_finder.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

namespace {

void check(const std::optional<data::FoundOptions>& found, Input text) {
  if (!found) return;
  core::require(found->options.size() >= 2, "there are two options or more");
  core::require(found->begin <= found->end && found->end <= text.size(), "the options lie in the text");
  for (const std::string& option : found->options)
    core::require(text.find(option) != Input::npos, "an option stands in the text");
}

}  // namespace

void option_pattern(Input input) {
  const auto pieces = split(input, 2);
  if (!is_utf8(input)) return;  // texts of JSON, and options that the command line has checked
  check(data::OptionFinder::by_labels(data::load_template("study")).find(pieces[1]), pieces[1]);
  check(data::OptionFinder::by_pattern(std::string(pieces[0])).find(pieces[1]), pieces[1]);
}

}  // namespace allreco::fuzz
