// The pre-tokenizer of a tokenizer.json cuts text into the words that merges never cross: ByteLevel, Split, Digits,
// Metaspace, Punctuation, WhitespaceSplit, Sequence.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/pattern.h"

namespace allreco::data {

struct Word {
  size_t begin = 0, end = 0;  // bytes of Words::text
  bool is_first = false;      // begins where the input begins
};

/// What a pre-tokenizer works on, with room that is used again from text to text. One thread at a time.
struct Words {
  std::string text;
  std::vector<Word> list;

  std::string other_text;
  std::vector<Word> other_list;
  std::vector<Pattern::Span> matches;
};

/// Immutable; thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Cuts each word further, or changes its text. No word is empty afterwards.
  virtual void apply(Words& words) const = 0;
};

/// Null where `fields` is null. UserError for a type that is not supported, by its name.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Fields& fields, const std::string& where, int depth = 0);

}  // namespace allreco::data
