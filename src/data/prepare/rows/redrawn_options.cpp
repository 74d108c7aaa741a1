#include "data/prepare/rows/redrawn_options.h"

#include <algorithm>

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

void RedrawnOptions::add(const ParsedRow& row, Split split) {
  item_of_row_.push_back(-1);
  if (row.options.empty()) return;
  const CleanTitle title = clean_title(row.text.output, options_.max_title_length);
  if (title.problem != TitleProblem::none) return;
  const std::uint32_t item = titles_.number_of(title.text);
  if (item == train_counts_.size()) train_counts_.push_back(0);
  item_of_row_.back() = item;
  train_counts_[item] += split == Split::train;
}

void RedrawnOptions::join(PrepareRanks& ranks) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(ranks.size()));
  rows[static_cast<std::size_t>(ranks.rank())] = std::ssize(item_of_row_);
  ranks.all_sum(rows);
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(ranks.rank()); ++rank)
    first_row_ += static_cast<std::uint64_t>(rows[rank]);
  titles_.join(ranks);
  for (std::int64_t& item : item_of_row_)
    if (item >= 0) item = titles_.joined(static_cast<std::uint32_t>(item));
  std::vector<std::int64_t> counts(titles_.texts().size());
  for (std::size_t own = 0; own < train_counts_.size(); ++own)
    counts[titles_.joined(static_cast<std::uint32_t>(own))] += train_counts_[own];
  ranks.all_sum(counts);
  std::vector<MatchedItems::Traits> traits;
  for (std::size_t item = 0; item < counts.size(); ++item)
    traits.push_back({counts[item], std::ssize(titles_.texts()[item])});
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
  core::RandomStream stream(core::mix_key(options_.seed, {core::key_of("redrawn options"), first_row_ + index}));
  std::vector<std::uint32_t> list{target};
  const auto may_follow = [&](std::uint32_t item) { return std::find(list.begin(), list.end(), item) == list.end(); };
  if (!matched_->draw(target, row.options.size() - 1, stream, list, may_follow)) return Fate::too_few_outputs;
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[stream.next_below(i)]);
  for (std::size_t i = 0; i < list.size(); ++i) row.options[i] = titles_.texts()[list[i]];
  row.gold = static_cast<std::uint8_t>(std::find(list.begin(), list.end(), target) - list.begin());
  row.text.output = titles_.texts()[target];
  text = replaced(text, ranges, row.options);
  return Fate::redrawn;
}

}  // namespace allreco::data
