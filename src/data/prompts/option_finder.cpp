#include "data/prompts/option_finder.h"

#include <algorithm>

#include "core/text.h"

namespace allreco::data {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
}

/// Without the separator behind it.
std::string without_separator(std::string_view text) {
  std::string option = trimmed(text);
  if (option.ends_with(',') || option.ends_with(';')) option.pop_back();
  return trimmed(option);
}

bool follows_a_blank(std::string_view text, std::size_t place) {
  return place == 0 || kBlanks.find(text[place - 1]) != std::string_view::npos;
}

/// The next place of `marker` behind a blank.
std::size_t next_marker(std::string_view text, const std::string& marker, std::size_t from) {
  std::size_t place = text.find(marker, from);
  while (place != std::string_view::npos && !follows_a_blank(text, place)) place = text.find(marker, place + 1);
  return place;
}

}  // namespace

OptionFinder OptionFinder::by_pattern(const std::string& pattern) {
  OptionFinder finder;
  finder.pattern_.emplace(core::message("option_pattern = {}", pattern), pattern, /*multiline=*/true);
  return finder;
}

OptionFinder OptionFinder::by_labels(const PromptTemplate& prompt_template) {
  constexpr std::size_t kMostLabels = 26;
  const std::string& item = prompt_template.option_item;
  const std::string before = item.substr(0, item.find("{title}"));
  OptionFinder finder;
  const std::size_t label = before.find("{label}");
  if (label == std::string::npos) return finder;
  for (std::size_t i = 0; i < kMostLabels; ++i) {
    const std::string name = prompt_template.option_labels == "numbers"
                                 ? std::to_string(i + 1)
                                 : std::string(1, static_cast<char>('A' + static_cast<char>(i)));
    finder.markers_.push_back(std::string(before).replace(label, std::string_view("{label}").size(), name));
  }
  for (const std::string* part : {&prompt_template.instruction, &prompt_template.input}) {
    const std::size_t place = part->find("{options}");
    if (place != std::string::npos) finder.behind_ = part->substr(place + std::string_view("{options}").size());
  }
  return finder;
}

std::optional<FoundOptions> OptionFinder::find(std::string_view text) const {
  auto found = pattern_ ? find_by_pattern(text) : find_by_labels(text);
  return found && found->options.size() >= 2 ? found : std::nullopt;
}

std::optional<FoundOptions> OptionFinder::find_by_pattern(std::string_view text) const {
  FoundOptions found{{}, text.size(), 0};
  for (std::size_t from = 0; from <= text.size();) {
    const auto groups = pattern_->search(text, from);
    if (!groups) break;
    const std::size_t first = groups->size() > 1 ? 1 : 0;
    for (std::size_t g = first; g < groups->size(); ++g) {
      if (!(*groups)[g]) continue;
      const auto [begin, end] = *(*groups)[g];
      found.options.push_back(trimmed(text.substr(begin, end - begin)));
      found.begin = std::min(found.begin, begin);
      found.end = std::max(found.end, end);
    }
    const auto whole = *groups->front();
    if (groups->size() > 2 || whole.end == whole.begin) break;
    from = whole.end;
  }
  return found;
}

std::optional<FoundOptions> OptionFinder::labelled_from(std::string_view text, std::size_t first) const {
  FoundOptions found{{}, first, 0};
  std::size_t begin = first + markers_[0].size();
  for (std::size_t next = 1; next < markers_.size(); ++next) {
    const std::size_t place = next_marker(text, markers_[next], begin);
    if (place == std::string_view::npos) break;
    found.options.push_back(without_separator(text.substr(begin, place - begin)));
    begin = place + markers_[next].size();
  }
  found.end = std::min(text.find('\n', begin), text.size());
  if (!behind_.empty() && text.substr(begin, found.end - begin).ends_with(behind_)) found.end -= behind_.size();
  found.options.push_back(trimmed(text.substr(begin, found.end - begin)));
  return found;
}

std::optional<FoundOptions> OptionFinder::find_by_labels(std::string_view text) const {
  if (markers_.empty()) return std::nullopt;
  for (std::size_t first = text.rfind(markers_[0]); first != std::string_view::npos;
       first = first == 0 ? std::string_view::npos : text.rfind(markers_[0], first - 1)) {
    if (!follows_a_blank(text, first)) continue;
    auto found = labelled_from(text, first);
    if (found->options.size() >= 2) return found;
  }
  return std::nullopt;
}

void remove_final_stops(std::vector<std::vector<std::string>*>& lists) {
  double last = 0, others = 0, num_others = 0;
  for (const auto* list : lists) {
    for (std::size_t i = 0; i + 1 < list->size(); ++i) others += (*list)[i].ends_with('.');
    num_others += static_cast<double>(list->size() - 1);
    last += list->back().ends_with('.');
  }
  const auto num_lists = static_cast<double>(lists.size());
  if (num_lists == 0 || last < 0.9 * num_lists || others >= 0.9 * num_others) return;
  for (auto* list : lists)
    if (list->back().ends_with('.')) list->back().pop_back();
}

}  // namespace allreco::data
