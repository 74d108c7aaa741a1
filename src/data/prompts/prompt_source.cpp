#include "data/prompts/prompt_source.h"

#include <limits>
#include <string>

#include "core/check.h"

namespace allreco::data {

using core::Json;

namespace {

constexpr size_t kLargestTemplate = 1 << 20;
constexpr std::int64_t kMostOptions = 254, kMostLettered = 26;
constexpr std::int64_t kLargestNumber = 100'000'000;

std::string dataset_file_of(const DatasetInfo& info) { return (info.directory / "dataset.json").string(); }

/// An option of the `prepare` that made the dataset.
const Json& prepare_option(const DatasetInfo& info, const char* key) {
  const auto options = info.json.find("options");
  if (options == info.json.end() || !options->is_object() || !options->contains(key))
    core::user_error("{} has no option \"{}\": prepare the dataset again", dataset_file_of(info), key);
  return options->at(key);
}

template <class Number>
Number prepare_number(const DatasetInfo& info, const char* key, Number smallest, Number largest) {
  const auto number = core::whole_number<Number>(prepare_option(info, key));
  if (!number || *number < smallest || *number > largest)
    core::user_error("{}: the option \"{}\" is {}, expected {} to {}", dataset_file_of(info), key,
                     prepare_option(info, key).dump(), smallest, largest);
  return *number;
}

bool prepare_flag(const DatasetInfo& info, const char* key) {
  const Json& flag = prepare_option(info, key);
  if (!flag.is_boolean()) core::user_error("{}: the option \"{}\" must be true or false", dataset_file_of(info), key);
  return flag.get<bool>();
}

Tokenizer listed_tokenizer(const DatasetInfo& info) {
  if (info.tokenizer_sha256.empty())
    core::user_error("{} is a dataset of token ids without a tokenizer: no history can be turned into a prompt",
                     info.directory.string());
  Tokenizer tokenizer(info.directory);
  if (tokenizer.sha256() != info.tokenizer_sha256)
    core::user_error("{} is not the tokenizer that {} lists: copy or prepare the dataset again",
                     tokenizer.path().string(), dataset_file_of(info));
  return tokenizer;
}

PromptTemplate history_template(const DatasetInfo& info) {
  const auto found = info.json.find("template");
  const Json source = info.json.value("source", Json());
  if ((source != "reviews" && source != "sequences") || found == info.json.end())
    core::user_error(
        "{} was not made from reviews or sequences: how its prompts show a history is not known. Use a dataset of "
        "`allreco prepare --reviews` or `--sequences`",
        info.directory.string());
  if (found->dump().size() > kLargestTemplate) core::user_error("{}: the template is too long", dataset_file_of(info));
  PromptTemplate result = template_of(*found, dataset_file_of(info));
  if (!result.takes_history()) core::user_error("{}: the template has no place for a history", dataset_file_of(info));
  return result;
}

EncodeOptions encode_options_of(const DatasetInfo& info) {
  const auto max_length = prepare_number<std::int64_t>(info, "max_length", 0, kLargestNumber);
  return {max_length == 0 ? kDefaultMaxLength : max_length, prepare_flag(info, "add_bos"),
          prepare_flag(info, "add_eos"),
          prepare_number<std::uint64_t>(info, "seed", 0, std::numeric_limits<std::uint64_t>::max())};
}

std::int64_t num_options_of(const DatasetInfo& info, const PromptTemplate& prompt_template) {
  if (!prompt_template.shows_options()) return 0;
  const auto number = prepare_number<std::int64_t>(info, "num_candidates", 2, kMostOptions);
  if (prompt_template.option_labels == "letters" && number > kMostLettered)
    core::user_error("{}: num_candidates is {}, but options with letters end at {}", dataset_file_of(info), number,
                     kMostLettered);
  return number;
}

}  // namespace

PromptSource::PromptSource(const DatasetInfo& info)
    : tokenizer_(listed_tokenizer(info)),
      template_(history_template(info)),
      encoder_(tokenizer_, template_, encode_options_of(info)),
      max_history_(prepare_number<std::int64_t>(info, "max_history", 1, kLargestNumber)),
      num_options_(num_options_of(info, template_)) {}

std::vector<ItemText> item_texts(std::span<const std::uint32_t> items, const std::vector<Item>& catalogue) {
  std::vector<ItemText> texts;
  for (const std::uint32_t id : items) {
    const Item& item = catalogue[id];
    texts.push_back({item.title, item.brand, item.category, item.price});
  }
  return texts;
}

}  // namespace allreco::data
