#include "data/prepare/redrawn_options.h"

#include <algorithm>
#include <unordered_map>

#include "core/random.h"
#include "data/input/titles.h"
#include "data/prompts/shown_options.h"

namespace allreco::data {

namespace {

std::string replaced(const std::string& text, const std::vector<TextRange>& ranges,
                     const std::vector<std::string>& by) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    result.append(text, done, ranges[i].begin - done).append(by[i]);
    done = ranges[i].end;
  }
  return result.append(text, done);
}

}  // namespace

RedrawnOptions::RedrawnOptions(const std::vector<ParsedRow>& rows, const std::vector<Split>& splits,
                               const RedrawOptions& options)
    : options_(options) {
  std::unordered_map<std::string, std::uint32_t> ids;
  std::vector<MatchedItems::Traits> traits;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    item_of_row_.push_back(-1);
    if (rows[i].options.empty()) continue;
    const CleanTitle title = clean_title(rows[i].text.output, options.max_title_length);
    if (title.problem != TitleProblem::none) continue;
    const auto [place, is_new] = ids.try_emplace(title.text, static_cast<std::uint32_t>(titles_.size()));
    if (is_new) {
      titles_.push_back(title.text);
      traits.push_back({0, std::ssize(title.text)});
    }
    item_of_row_.back() = place->second;
    traits[place->second].train_count += splits[i] == Split::train;
  }
  matched_.emplace(traits);
}

RedrawnOptions::Fate RedrawnOptions::redraw(std::size_t index, ParsedRow& row) const {
  if (row.options.empty()) return Fate::no_options;
  if (item_of_row_[index] < 0) return Fate::unusable_output;
  std::string& text =
      find_options_in_order(row.text.input, row.options).empty() ? row.text.instruction : row.text.input;
  const std::vector<TextRange> ranges = find_options_in_order(text, row.options);
  if (ranges.empty()) return Fate::options_not_shown;
  const auto target = static_cast<std::uint32_t>(item_of_row_[index]);
  core::RandomStream stream(core::mix_key(options_.seed, {core::key_of("redrawn options"), index}));
  std::vector<std::uint32_t> list{target};
  const auto may_follow = [&](std::uint32_t item) { return std::find(list.begin(), list.end(), item) == list.end(); };
  if (!matched_->draw(target, row.options.size() - 1, stream, list, may_follow)) return Fate::too_few_outputs;
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[stream.next_below(i)]);
  for (std::size_t i = 0; i < list.size(); ++i) row.options[i] = titles_[list[i]];
  row.gold = static_cast<std::uint8_t>(std::find(list.begin(), list.end(), target) - list.begin());
  row.text.output = titles_[target];
  text = replaced(text, ranges, row.options);
  return Fate::redrawn;
}

}  // namespace allreco::data
