// tokenizer.json, exactly as the `tokenizers` library reads it (docs/tokenizer.md says what is supported).
#pragma once
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/decoders.h"
#include "data/tokenizer/normalizers.h"
#include "data/tokenizer/post_processors.h"
#include "data/tokenizer/pre_tokenizers.h"
#include "data/tokenizer/scratch_pool.h"
#include "data/tokenizer/word_cache.h"

namespace allreco::data {

/// Immutable but for its caches; every method may be called from any thread.
class JsonTokenizer {
 public:
  struct Options {
    bool add_special_tokens = false;     // what the post-processor puts around the text
    bool special_tokens_as_text = true;  // the library's encode_special_tokens, which is false there by default
    bool is_continued = false;           // the text follows a control token: Metaspace's "first" is not here
  };

  /// `bytes`: the file's content; `where` names it in errors. UserError for anything that is not supported.
  JsonTokenizer(const std::string& bytes, const std::string& where);

  /// What is no UTF-8 in `text` is U+FFFD.
  std::vector<TokenId> encode(std::string_view text, const Options& options) const;
  /// Ids that are not in the vocabulary are left out, as the library does.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special_tokens) const;

  /// Vocabulary and added tokens; ids lie below it.
  std::int64_t size() const { return size_; }
  const Surroundings& surroundings() const { return surroundings_; }
  const AddedTokens& added_tokens() const { return *added_tokens_; }
  /// Of a whole token, added ones first.
  std::optional<TokenId> id_of(std::string_view text) const;

 private:
  struct Scratch {
    Words words;
    MergeScratch merging;
    WordCache cache;
    std::vector<Segment> raw, normalized;
    std::string text;
  };

  void encode_raw(std::string_view text, const Options& options, Scratch& scratch, std::vector<TokenId>& ids) const;
  void encode_between(std::string_view text, bool is_first, bool special_as_text, Scratch& scratch,
                      std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, bool is_first, Scratch& scratch, std::vector<TokenId>& ids) const;
  void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const;
  void encode_part(std::string_view part, Scratch& scratch, std::vector<TokenId>& ids) const;

  std::unique_ptr<Bpe> model_;
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<AddedTokens> added_tokens_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<Decoder> decoder_;
  Surroundings surroundings_;
  std::int64_t size_ = 0;
  mutable ScratchPool<Scratch> scratches_;
};

}  // namespace allreco::data
