#include "recommend/prompts.h"

#include <algorithm>
#include <unordered_set>

#include "core/check.h"

namespace allreco::recommend {

using core::Json;

namespace {

constexpr size_t kLargestTemplate = 1 << 20;
constexpr std::int64_t kDefaultMaxLength = 512;  // prepare's, for max_length = 0
constexpr std::int64_t kMostOptions = 254;
constexpr std::int64_t kLargestNumber = 100'000'000;

std::string file_of(const data::DatasetInfo& info) { return (info.directory / "dataset.json").string(); }

/// An option of the `prepare` that made the dataset.
const Json& option_of(const data::DatasetInfo& info, const char* key) {
  const auto options = info.json.find("options");
  if (options == info.json.end() || !options->is_object() || !options->contains(key))
    core::user_error("{} has no option \"{}\": prepare the dataset again", file_of(info), key);
  return options->at(key);
}

std::int64_t number_of(const data::DatasetInfo& info, const char* key, std::int64_t smallest, std::int64_t largest) {
  const auto number = core::whole_number<std::int64_t>(option_of(info, key));
  if (!number || *number < smallest || *number > largest)
    core::user_error("{}: the option \"{}\" is {}, expected {} to {}", file_of(info), key, option_of(info, key).dump(),
                     smallest, largest);
  return *number;
}

bool flag_of(const data::DatasetInfo& info, const char* key) {
  const Json& flag = option_of(info, key);
  if (!flag.is_boolean()) core::user_error("{}: the option \"{}\" must be true or false", file_of(info), key);
  return flag.get<bool>();
}

data::Tokenizer tokenizer_of(const data::DatasetInfo& info) {
  if (info.tokenizer_sha256.empty())
    core::user_error("{} is a dataset of token ids without a tokenizer: no history can be turned into a prompt",
                     info.directory.string());
  data::Tokenizer tokenizer(info.directory);
  if (tokenizer.sha256() != info.tokenizer_sha256)
    core::user_error("{} is not the tokenizer that {} lists: copy or prepare the dataset again",
                     tokenizer.path().string(), file_of(info));
  return tokenizer;
}

data::PromptTemplate template_of(const data::DatasetInfo& info) {
  const auto found = info.json.find("template");
  const Json source = info.json.value("source", Json());
  if ((source != "reviews" && source != "sequences") || found == info.json.end())
    core::user_error(
        "{} was not made from reviews or sequences: how its prompts show a history is not known. Recommend needs a "
        "dataset of `allreco prepare --reviews` or `--sequences`",
        info.directory.string());
  if (found->dump().size() > kLargestTemplate) core::user_error("{}: the template is too long", file_of(info));
  data::PromptTemplate result = data::template_of(*found, file_of(info));
  if (!result.takes_history()) core::user_error("{}: the template has no place for a history", file_of(info));
  if (result.answer != "title")
    core::user_error("{}: its answers are labels of options; recommend needs a dataset whose answers are titles",
                     file_of(info));
  result.other_instructions.clear();  // a request is asked in the first phrasing
  return result;
}

/// Without a limit: build() cuts histories itself, to know where.
data::EncodeOptions encode_options(const data::DatasetInfo& info) {
  return {kLargestNumber, flag_of(info, "add_bos"), flag_of(info, "add_eos"), 0};
}

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

std::uint32_t longest_title(const ItemIndex& index) {
  const auto longest = std::max_element(index.items().begin(), index.items().end(),
                                        [](const auto& a, const auto& b) { return a.tokens.size() < b.tokens.size(); });
  return longest->id;
}

std::vector<data::ItemText> texts_of(std::span<const std::uint32_t> items, const ItemIndex& index) {
  std::vector<data::ItemText> texts;
  for (const std::uint32_t id : items) {
    const data::Item& item = index.item(id);
    texts.push_back({item.title, item.brand, item.category, item.price});
  }
  return texts;
}

}  // namespace

PromptBuilder::PromptBuilder(const data::DatasetInfo& info, const ItemIndex& index)
    : index_(index),
      tokenizer_(tokenizer_of(info)),
      template_(template_of(info)),
      encoder_(tokenizer_, template_, encode_options(info)),
      max_length_(number_of(info, "max_length", 0, kLargestNumber)),
      max_history_(number_of(info, "max_history", 1, kLargestNumber)) {
  if (max_length_ == 0) max_length_ = kDefaultMaxLength;
  if (index.items().empty()) core::user_error("{} has no items to recommend", info.directory.string());
  longest_title_ = longest_title(index);
  if (!template_.shows_options()) return;
  num_options_ = number_of(info, "num_candidates", 2, kMostOptions);
  if (template_.option_labels == "letters" && num_options_ > 26)
    core::user_error("{}: num_candidates is {}, but options with letters end at 26", file_of(info), num_options_);
  most_popular_ = by_popularity(index);
}

std::vector<std::uint32_t> PromptBuilder::options_beside(std::span<const std::uint32_t> history) const {
  std::unordered_set<std::string_view> titles;
  for (const std::uint32_t item : history) titles.insert(index_.item(item).title);
  std::vector<std::uint32_t> options;
  for (auto item = most_popular_.begin(); item != most_popular_.end() && std::ssize(options) < num_options_; ++item)
    if (!titles.contains(index_.item(*item).title)) options.push_back(*item);
  std::sort(options.begin(), options.end());
  return options;
}

Prompt PromptBuilder::build(std::span<const std::uint32_t> history) const {
  core::require(!history.empty(), "a prompt needs a history");
  Prompt prompt;
  prompt.options = options_beside(history);
  const auto num_shown = std::min(history.size(), static_cast<size_t>(max_history_));
  std::span<const std::uint32_t> shown = history.last(num_shown);
  const std::string& answer = index_.item(longest_title_).title;
  data::Example example;
  while (true) {
    encoder_.encode_history(texts_of(shown, index_), texts_of(prompt.options, index_), answer, example);
    if (std::ssize(example.tokens) <= max_length_ || shown.size() == 1) break;
    shown = shown.subspan(1);
  }
  prompt.tokens.assign(example.tokens.begin(), example.tokens.begin() + example.prompt_length);
  prompt.history.assign(shown.begin(), shown.end());
  return prompt;
}

}  // namespace allreco::recommend
