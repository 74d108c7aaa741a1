// The BPE model of a tokenizer.json: words to tokens. The lowest-ranked merge first, of equals the leftmost.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/merge_table.h"
#include "data/tokenizer/token_id.h"

namespace allreco::data {

/// Room that merging uses again from word to word. One thread at a time.
struct MergeScratch {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::vector<std::uint32_t> priorities;
};

/// Immutable; thread-safe.
class Bpe {
 public:
  /// `model`: the file's "model". UserError for another model, options that are not supported (dropout, sub-word
  /// prefixes and suffixes), ids with holes, and merges of or into pieces that the vocabulary has not.
  Bpe(const Fields& model, const std::string& where);
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  /// Appends the tokens of a word (valid UTF-8). O(n log n) in its length.
  void encode(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& ids) const;

  /// Whether the tokens of a text are those of its two halves at `at`, whatever they are: no merge reaches over it.
  /// Knows places before U+2581 only, which is where words begin in vocabularies that SentencePiece trained.
  bool may_cut_before_space(std::string_view word, size_t at) const;

  std::int64_t size() const { return static_cast<std::int64_t>(texts_.size()); }
  std::optional<TokenId> id_of(std::string_view text) const;
  /// REQUIRES 0 <= id < size().
  const std::string& text_of(TokenId id) const { return texts_[static_cast<size_t>(id)]; }

 private:
  void read_vocabulary(const Fields& vocabulary, const std::string& where);
  void read_merges(const Fields& merges, const std::string& where);
  void read_byte_tokens();
  void add_merge(std::string_view left, std::string_view right, std::uint32_t priority, const std::string& where);
  void to_symbols(std::string_view word, std::vector<Symbol>& symbols) const;
  bool append_byte_tokens(std::string_view character, std::vector<Symbol>& symbols) const;

  std::vector<std::string> texts_;                     // by id
  std::unordered_map<std::string_view, TokenId> ids_;  // views of texts_
  std::vector<TokenId> character_ids_;                 // by code point; -1: none
  std::vector<TokenId> byte_ids_;                      // <0x00> ...; -1: none
  MergeTable merges_;
  std::unordered_map<char32_t, bool> joined_to_space_;  // characters that a merge joins to a U+2581 behind them
  TokenId unknown_ = -1;
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
};

}  // namespace allreco::data
