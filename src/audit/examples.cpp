#include "audit/examples.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/check.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/prompts/option_finder.h"
#include "data/prompts/shown_options.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::audit {
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kChunk = 4096;  // examples whose texts are in memory at a time

/// An example as text; of a dataset without tokenizer, the ids.
struct TextExample {
  data::Example example;
  std::string prompt = {}, answer = {};
  std::vector<std::string> options = {};
  std::size_t begin = 0, end = 0;  // of the prompt: where the options stand
};

std::uint64_t key_of(const std::vector<data::TokenId>& tokens, std::size_t count) {
  return core::key_of({reinterpret_cast<const char*>(tokens.data()), count * sizeof(data::TokenId)});
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

class Reader {
 public:
  Reader(const data::DatasetInfo& info, const ReadOptions& options)
      : info_(info), options_(options), catalogue_(data::read_catalogue(info)) {
    if (!info.tokenizer_sha256.empty()) tokenizer_.emplace(info.directory);
    choose_finder();
  }

  AuditData read();

 private:
  void choose_finder();
  bool has_candidates() const;
  void read_split(const std::string& name);
  TextExample text_of(const data::Dataset& dataset, std::int64_t index) const;
  std::string decoded(const std::vector<data::TokenId>& tokens) const;
  void find_options(TextExample& text) const;
  void add(const TextExample& text, AuditSplit& split);
  void add_options(const TextExample& text, AuditExample& example);
  std::uint32_t text_id(const std::string& text);
  std::uint32_t answer_id(const std::string& text);

  const data::DatasetInfo& info_;
  const ReadOptions& options_;
  std::vector<data::Item> catalogue_;
  std::optional<data::Tokenizer> tokenizer_;
  std::optional<data::OptionFinder> finder_;
  Vocabulary vocabulary_;
  std::unordered_map<std::string, std::uint32_t> text_ids_, answer_ids_;
  AuditData data_;
};

bool Reader::has_candidates() const {
  for (const char* split : {"train", "validation", "test"})
    if (data::has_split(info_, split) && data::Dataset(info_.directory, split, false).has_candidates()) return true;
  return false;
}

void Reader::choose_finder() {
  if (!options_.option_pattern.empty()) {
    if (!tokenizer_)
      core::user_error("option_pattern looks for options in texts, and {} has token ids without a tokenizer",
                       info_.directory.string());
    finder_ = data::OptionFinder::by_pattern(options_.option_pattern);
    data_.options_from = "option_pattern";
  } else if (has_candidates()) {
    data_.options_from = "candidates";
  } else if (tokenizer_ && info_.json.contains("template")) {
    finder_ = data::OptionFinder::by_labels(data::template_of(info_.json["template"], "dataset.json"));
    data_.options_from = "labels of the template";
  }
}

std::string Reader::decoded(const std::vector<data::TokenId>& tokens) const {
  if (tokenizer_) return tokenizer_->decode(tokens);
  std::string text;
  for (const data::TokenId id : tokens) text += std::to_string(id) + " ";
  return text;
}

void Reader::find_options(TextExample& text) const {
  if (!finder_) {
    for (const std::uint32_t item : text.example.candidates) text.options.push_back(catalogue_.at(item).title);
    if (const auto range = data::find_shown_options(text.prompt, text.options)) {
      text.begin = range->begin;
      text.end = range->end;
    }
  } else if (auto found = finder_->find(text.prompt)) {
    text.options = std::move(found->options);
    text.begin = found->begin;
    text.end = found->end;
  }
}

TextExample Reader::text_of(const data::Dataset& dataset, std::int64_t index) const {
  TextExample text{.example = dataset.example(index)};
  const std::vector<data::TokenId>& tokens = text.example.tokens;
  const auto split = tokens.begin() + text.example.prompt_length;
  std::vector<data::TokenId> answer(split, tokens.end());
  if (!answer.empty() && answer.back() == info_.eos_id) answer.pop_back();
  text.prompt = decoded({tokens.begin(), split});
  text.answer = trimmed(decoded(answer));
  find_options(text);
  return text;
}

std::uint32_t Reader::text_id(const std::string& text) {
  const auto [place, is_new] = text_ids_.try_emplace(text, static_cast<std::uint32_t>(data_.texts.size()));
  if (is_new)
    data_.texts.push_back(
        {text, vocabulary_.words_of(text), tokenizer_ ? std::ssize(tokenizer_->encode(text)) : std::ssize(text)});
  return place->second;
}

std::uint32_t Reader::answer_id(const std::string& text) {
  const auto [place, is_new] = answer_ids_.try_emplace(text, static_cast<std::uint32_t>(data_.answers.size()));
  if (is_new) {
    data_.answers.push_back(text);
    data_.answer_words.push_back(vocabulary_.words_of(text));
  }
  return place->second;
}

void Reader::add_options(const TextExample& text, AuditExample& example) {
  if (text.options.size() < 2) return;
  const bool is_listed = !finder_;
  const std::size_t gold =
      is_listed ? (text.example.gold ? *text.example.gold : text.options.size())
                : static_cast<std::size_t>(std::find(text.options.begin(), text.options.end(), text.answer) -
                                           text.options.begin());
  if (gold >= text.options.size()) {
    ++data_.num_answer_not_in_options;
    return;
  }
  for (const std::string& option : text.options) example.options.push_back(text_id(option));
  example.gold = gold;
}

void Reader::add(const TextExample& text, AuditSplit& split) {
  const data::Example& stored = text.example;
  AuditExample example{.user = stored.user, .timestamp = stored.timestamp, .answer = answer_id(text.answer)};
  add_options(text, example);
  example.outside = vocabulary_.words_of(text.prompt.substr(0, text.begin));
  const Words after = vocabulary_.words_of(text.prompt.substr(text.end));
  example.outside.insert(example.outside.end(), after.begin(), after.end());
  example.prompt_key = key_of(stored.tokens, static_cast<std::size_t>(stored.prompt_length));
  example.whole_key = key_of(stored.tokens, stored.tokens.size());
  split.examples.push_back(std::move(example));
}

void Reader::read_split(const std::string& name) {
  const data::Dataset dataset(info_.directory, name, /*verify_checksums=*/false);
  AuditSplit& split = data_.splits.emplace_back(AuditSplit{name, dataset.size()});
  const std::int64_t count =
      options_.max_examples == 0 ? dataset.size() : std::min(options_.max_examples, dataset.size());
  std::vector<TextExample> chunk;
  for (std::int64_t first = 0; first < count; first += kChunk) {
    chunk.assign(static_cast<std::size_t>(std::min(kChunk, count - first)), {});
    core::parallel_for(std::ssize(chunk), at::get_num_threads(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        chunk[static_cast<std::size_t>(i)] = text_of(dataset, (first + i) * dataset.size() / count);
    });
    std::vector<std::vector<std::string>*> lists;
    for (TextExample& text : chunk)
      if (finder_ && !text.options.empty()) lists.push_back(&text.options);
    data::remove_final_stops(lists);
    for (const TextExample& text : chunk) add(text, split);
  }
}

AuditData Reader::read() {
  for (const char* name : {"train", "validation", "test"})
    if (data::has_split(info_, name)) read_split(name);
  find_frame(data_);
  return std::move(data_);
}

}  // namespace

Words AuditData::history_of(const AuditExample& example) const {
  Words words;
  std::copy_if(example.outside.begin(), example.outside.end(), std::back_inserter(words),
               [&](std::uint32_t word) { return word >= is_frame.size() || !is_frame[word]; });
  return words;
}

const AuditSplit* AuditData::split(const std::string& name) const {
  const auto found = std::find_if(splits.begin(), splits.end(), [&](const AuditSplit& s) { return s.name == name; });
  return found == splits.end() ? nullptr : &*found;
}

void find_frame(AuditData& data) {
  std::vector<std::int64_t> counts;
  std::int64_t num_examples = 0;
  for (const AuditSplit& split : data.splits) {
    for (const AuditExample& example : split.examples) {
      Words words = example.outside;
      std::sort(words.begin(), words.end());
      words.erase(std::unique(words.begin(), words.end()), words.end());
      if (!words.empty() && words.back() >= counts.size()) counts.resize(words.back() + 1U);
      for (const std::uint32_t word : words) ++counts[word];
      ++num_examples;
    }
  }
  data.is_frame.assign(counts.size(), false);
  for (std::size_t word = 0; word < counts.size(); ++word) data.is_frame[word] = 2 * counts[word] > num_examples;
}

AuditData read_audit_data(const data::DatasetInfo& info, const ReadOptions& options) {
  return Reader(info, options).read();
}

}  // namespace allreco::audit
