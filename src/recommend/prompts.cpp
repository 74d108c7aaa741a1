#include "recommend/prompts.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/check.h"

namespace allreco::recommend {

namespace {

std::vector<std::uint32_t> by_popularity(const ItemIndex& index) {
  std::vector<std::uint32_t> items;
  std::unordered_set<std::string_view> titles;
  for (const data::Item& item : index.items()) items.push_back(item.id);
  std::stable_sort(items.begin(), items.end(), [&](std::uint32_t a, std::uint32_t b) {
    return index.item(a).train_count > index.item(b).train_count;
  });
  std::erase_if(items, [&](std::uint32_t item) { return !titles.insert(index.item(item).title).second; });
  return items;
}

/// By its tokens.
const std::string& longest_title(const ItemIndex& index) {
  const auto longest = std::max_element(index.items().begin(), index.items().end(),
                                        [](const auto& a, const auto& b) { return a.tokens.size() < b.tokens.size(); });
  return longest->title;
}

}  // namespace

PromptBuilder::PromptBuilder(const data::DatasetInfo& info, const ItemIndex& index) : index_(index), source_(info) {
  if (source_.prompt_template().answer != "title")
    core::user_error("{}: its answers are labels of options; recommend needs a dataset whose answers are titles",
                     info.directory.string());
  if (index.items().empty()) core::user_error("{} has no items to recommend", info.directory.string());
  num_answer_tokens_ = source_.encoder().encode_answer(longest_title(index)).size();
  if (num_options() > 0) most_popular_ = by_popularity(index);
}

std::vector<std::uint32_t> PromptBuilder::options_beside(std::span<const std::uint32_t> history) const {
  std::unordered_set<std::string_view> titles;
  for (const std::uint32_t item : history) titles.insert(index_.item(item).title);
  std::vector<std::uint32_t> options;
  for (auto item = most_popular_.begin(); item != most_popular_.end() && std::ssize(options) < num_options(); ++item)
    if (!titles.contains(index_.item(*item).title)) options.push_back(*item);
  std::sort(options.begin(), options.end());
  return options;
}

Prompt PromptBuilder::build(std::span<const std::uint32_t> history) const {
  core::require(!history.empty(), "a prompt needs a history");
  const std::vector<std::uint32_t> options = options_beside(history);
  history = history.last(std::min(history.size(), static_cast<size_t>(source_.max_history())));
  data::HistoryPrompt made = source_.encoder().encode_prompt(
      data::item_texts(history, index_.items()), data::item_texts(options, index_.items()), num_answer_tokens_);
  history = history.subspan(made.num_dropped);
  return {std::move(made.tokens), {history.begin(), history.end()}, options};
}

}  // namespace allreco::recommend
