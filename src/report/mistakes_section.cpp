// The most confident mistakes with their prompts.
#include <algorithm>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

constexpr std::size_t kLongestPrompt = 6000;  // bytes on the page
constexpr std::size_t kNumInSight = 8;

/// Cut between characters.
std::string beginning_of(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + fmt::format("\n… {} bytes more", text.size() - end);
}

Html mistake_html(const eval::Mistake& mistake) {
  const Html prompt = mistake.prompt.empty()
                          ? html("<p class=\"note\">The dataset has no tokenizer, so its prompt is not known.</p>")
                          : html("<pre>{}</pre>", Html::lines(beginning_of(mistake.prompt, kLongestPrompt)));
  return html(
      "<details class=\"mistake\"><summary><span class=\"sure\">{}</span> <span class=\"chosen\">{}</span> "
      "<span class=\"right\">{}</span></summary>\n{}</details>\n",
      shown_percent(mistake.confidence), mistake.chosen, mistake.right, prompt);
}

/// The first ones in sight, the others behind a click; at most as many as a table's rows.
Html mistakes_html(const std::string& title, const std::vector<eval::Mistake>& mistakes) {
  Html in_sight, others;
  for (std::size_t i = 0; i < std::min(kMostRows, mistakes.size()); ++i)
    (i < kNumInSight ? in_sight : others) += mistake_html(mistakes[i]);
  if (!others.empty())
    in_sight += html("<details class=\"more\"><summary>{} more</summary>\n{}</details>\n",
                     std::min(kMostRows, mistakes.size()) - kNumInSight, others);
  return html(
      "<h3>{}</h3>\n<div class=\"mistakes\">\n<p class=\"legend\"><span class=\"sure\">how sure</span> "
      "<span class=\"chosen\">chosen</span> <span class=\"right\">right</span></p>\n{}</div>\n",
      title, in_sight);
}

}  // namespace

Section mistakes_section(const std::vector<DataGroup>& groups) {
  Section section{.id = "mistakes", .title = "Most confident mistakes"};
  Table table{.id = "mistakes",
              .caption = "",
              .columns = {{"data", ""},
                          {"run", ""},
                          {"example", ""},
                          {"confidence", ""},
                          {"chosen", ""},
                          {"right", ""},
                          {"prompt", ""}}};
  for (const DataGroup& group : groups) {
    for (const EvaluatedRun& one : group.evaluations) {
      if (!one.document().errors || one.document().errors->mistakes.empty()) continue;
      const auto& mistakes = one.document().errors->mistakes;
      for (const eval::Mistake& mistake : mistakes)
        table.add(
            {group.title, one.name, mistake.index, mistake.confidence, mistake.chosen, mistake.right, mistake.prompt});
      section.body += mistakes_html(one.name + ": " + group.title, mistakes);
    }
  }
  if (table.rows.empty())
    section.body =
        missing("No evaluation with lists of candidates was given, of which mistakes are known. One is made by",
                kEvaluateCommand);
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace allreco::report
