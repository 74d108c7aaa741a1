#include "data/tokenizer/pre_tokenizers.h"

#include <utility>

#include "core/check.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/unicode.h"
#include "data/tokenizer/word_cutter.h"

namespace allreco::data {

namespace {

constexpr const char* kSupportedPreTokenizers =
    "ByteLevel, Split, Digits, Metaspace, Punctuation, WhitespaceSplit, Sequence";
constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Writes every word anew: rewrite(word, its text, the text to append to).
template <class Rewrite>
void rewrite_words(Words& words, Rewrite rewrite) {
  words.other_text.clear();
  for (Word& word : words.list) {
    const size_t begin = words.other_text.size();
    rewrite(word, std::string_view(words.text).substr(word.begin, word.end - word.begin), words.other_text);
    word = {begin, words.other_text.size(), word.is_first};
  }
  words.text.swap(words.other_text);
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex, const std::string& where) : add_prefix_space_(add_prefix_space) {
    if (use_regex) words_ = Pattern::regex(kGpt2Pattern, where);
  }

  void apply(Words& words) const override {
    if (add_prefix_space_) {
      rewrite_words(words, [](const Word&, std::string_view word, std::string& text) {
        if (!word.starts_with(' ')) text += ' ';
        text += word;
      });
    }
    if (words_) {
      cut_words(words, Behavior::isolated, false,
                [&](std::string_view text, auto& matches) { words_->find(text, matches); });
    }
    rewrite_words(words, [&](const Word&, std::string_view word, std::string& text) {
      for (const char byte : word) text += alphabet_[static_cast<unsigned char>(byte)];
    });
  }

 private:
  bool add_prefix_space_;
  std::optional<Pattern> words_;
  const std::array<std::string, 256>& alphabet_ = byte_characters();
};

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Words& words) const override {
    cut_words(words, behavior_, invert_, [&](std::string_view text, auto& matches) { pattern_.find(text, matches); });
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

/// Digits, Punctuation, WhitespaceSplit: every character of a kind is a match.
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(bool (*is_of_kind)(char32_t), Behavior behavior) : is_of_kind_(is_of_kind), behavior_(behavior) {}

  void apply(Words& words) const override {
    cut_words(words, behavior_, false, [&](std::string_view text, auto& matches) {
      matches.clear();
      for_each_character(text, [&](char32_t c, size_t begin, size_t end) {
        if (is_of_kind_(c)) matches.push_back({begin, end});
      });
    });
  }

 private:
  bool (*is_of_kind_)(char32_t);
  Behavior behavior_;
};

class Metaspace : public PreTokenizer {
 public:
  enum class Prepend { always, first, never };

  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void apply(Words& words) const override {
    rewrite_words(words, [&](const Word& word, std::string_view old, std::string& text) {
      const bool may_prepend = prepend_ == Prepend::always || (prepend_ == Prepend::first && word.is_first);
      if (may_prepend && !old.starts_with(' ') && !old.starts_with(replacement_)) text += replacement_;
      for (const char byte : old) {
        if (byte == ' ') {
          text += replacement_;
        } else {
          text += byte;
        }
      }
    });
    if (!split_) return;
    cut_words(words, Behavior::merged_with_next, false, [&](std::string_view text, auto& matches) {
      matches.clear();
      for (size_t at = text.find(replacement_); at != std::string_view::npos; at = text.find(replacement_, at + 1))
        matches.push_back({at, at + replacement_.size()});
    });
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps, std::string where)
      : steps_(std::move(steps)), where_(std::move(where)) {}
  void apply(Words& words) const override {
    const size_t before = words.text.size();
    for (const auto& step : steps_) {
      step->apply(words);
      check_growth(before, words.text.size(), where_);
    }
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
  std::string where_;
};

std::unique_ptr<PreTokenizer> make_metaspace(const Fields& fields, const std::string& where) {
  const std::string replacement = text_field(fields, "replacement", where);
  if (replacement.empty() || character_at(replacement, 0) != replacement)
    core::user_error("{}: \"replacement\" must be one character, not \"{}\"", where, replacement);
  const std::string scheme = fields.contains("prepend_scheme") ? text_field(fields, "prepend_scheme", where) : "always";
  if (scheme != "always" && scheme != "first" && scheme != "never")
    core::user_error("{}: prepend_scheme {} is not one of always, first, never", where, scheme);
  if (!flag_field(fields, "add_prefix_space", true, where) && scheme != "never")
    core::user_error("{}: add_prefix_space is false and prepend_scheme is {}; they contradict", where, scheme);
  const auto prepend = scheme == "always"  ? Metaspace::Prepend::always
                       : scheme == "first" ? Metaspace::Prepend::first
                                           : Metaspace::Prepend::never;
  return std::make_unique<Metaspace>(replacement, prepend, flag_field(fields, "split", true, where));
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Fields& fields, const std::string& where, int depth) {
  if (fields.is_null()) return nullptr;
  const std::string type = text_field(fields, "type", where);
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevel>(flag_field(fields, "add_prefix_space", where),
                                       flag_field(fields, "use_regex", true, where), where);
  }
  if (type == "Split") {
    return std::make_unique<PatternSplit>(Pattern(field(fields, "pattern", where), where),
                                          behavior_of(text_field(fields, "behavior", where), where),
                                          flag_field(fields, "invert", where));
  }
  if (type == "Digits") {
    const bool each = flag_field(fields, "individual_digits", where);
    return std::make_unique<CharacterSplit>(is_numeric, each ? Behavior::isolated : Behavior::contiguous);
  }
  if (type == "Punctuation") {
    const std::string name = fields.contains("behavior") ? text_field(fields, "behavior", where) : "Isolated";
    return std::make_unique<CharacterSplit>(is_punctuation, behavior_of(name, where));
  }
  if (type == "WhitespaceSplit") return std::make_unique<CharacterSplit>(is_white_space, Behavior::removed);
  if (type == "Metaspace") return make_metaspace(fields, where);
  if (type != "Sequence") refuse_type(type, kSupportedPreTokenizers, where);
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (const Fields& step : list_field(fields, "pretokenizers", depth, where)) {
    if (step.is_null()) core::user_error("{}: a step of the Sequence is null", where);
    steps.push_back(make_pre_tokenizer(step, where, depth + 1));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(steps), where);
}

}  // namespace allreco::data
