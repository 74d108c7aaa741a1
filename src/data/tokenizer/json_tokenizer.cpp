#include "data/tokenizer/json_tokenizer.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/json.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr std::string_view kSpaceOfWords = "\u2581";

Fields parse(const std::string& bytes, const std::string& where) {
  if (core::nests_too_deeply(bytes)) {
    core::user_error("{} is not read: its arrays and objects lie more than {} deep in each other", where,
                     core::kMaxJsonDepth);
  }
  try {
    return Fields::parse(bytes);
  } catch (const Fields::exception& error) {
    core::user_error("{} is not JSON: {}", where, error.what());
  }
}

const Fields& optional_field(const Fields& document, const char* key) {
  static const Fields null;
  const auto found = document.find(key);
  return found == document.end() ? null : *found;
}

}  // namespace

JsonTokenizer::JsonTokenizer(const std::string& bytes, const std::string& where) {
  const Fields document = parse(bytes, where);
  if (!document.is_object()) core::user_error("{}: a JSON object is needed, not {}", where, document.type_name());
  model_ = std::make_unique<Bpe>(field(document, "model", where), where + ": model");
  normalizer_ = make_normalizer(optional_field(document, "normalizer"), where + ": normalizer");
  const Fields& added = optional_field(document, "added_tokens");
  added_tokens_ = std::make_unique<AddedTokens>(added.is_null() ? Fields::array() : added, *model_, normalizer_.get(),
                                                where + ": added_tokens");
  size_ = model_->size();
  for (const AddedToken& token : added_tokens_->list()) size_ = std::max<std::int64_t>(size_, token.id + 1);
  pre_tokenizer_ = make_pre_tokenizer(optional_field(document, "pre_tokenizer"), where + ": pre_tokenizer");
  surroundings_ = read_post_processor(optional_field(document, "post_processor"), size_, where + ": post_processor");
  decoder_ = make_decoder(optional_field(document, "decoder"), where + ": decoder");
}

std::vector<TokenId> JsonTokenizer::encode(std::string_view text, const Options& options) const {
  ScratchPool<Scratch>::Lease scratch(scratches_);
  std::vector<TokenId> ids;
  if (options.add_special_tokens) ids = surroundings_.before;
  if (is_valid_utf8(text)) {
    encode_raw(text, options, *scratch, ids);
  } else {
    encode_raw(to_valid_utf8(text), options, *scratch, ids);
  }
  if (options.add_special_tokens) ids.insert(ids.end(), surroundings_.after.begin(), surroundings_.after.end());
  return ids;
}

void JsonTokenizer::encode_raw(std::string_view text, const Options& options, Scratch& scratch,
                               std::vector<TokenId>& ids) const {
  added_tokens_->cut(text, AddedTokens::Pass::raw, options.special_tokens_as_text, scratch.raw);
  for (const Segment& segment : scratch.raw) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
    } else {
      encode_between(text.substr(segment.begin, segment.end - segment.begin),
                     segment.begin == 0 && !options.is_continued, options.special_tokens_as_text, scratch, ids);
    }
  }
}

void JsonTokenizer::encode_between(std::string_view text, bool is_first, bool special_as_text, Scratch& scratch,
                                   std::vector<TokenId>& ids) const {
  if (normalizer_) {
    scratch.text.assign(text);
    if (normalizer_->apply(scratch.text)) is_first = false;
    text = scratch.text;
  }
  if (!added_tokens_->has_any(AddedTokens::Pass::normalized)) return encode_plain(text, is_first, scratch, ids);
  added_tokens_->cut(text, AddedTokens::Pass::normalized, special_as_text, scratch.normalized);
  for (const Segment& segment : scratch.normalized) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
    } else {
      encode_plain(text.substr(segment.begin, segment.end - segment.begin), is_first && segment.begin == 0, scratch,
                   ids);
    }
  }
}

void JsonTokenizer::encode_plain(std::string_view text, bool is_first, Scratch& scratch,
                                 std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  if (!pre_tokenizer_) return encode_word(text, scratch, ids);
  Words& words = scratch.words;
  words.text.assign(text);
  words.list.assign(1, {0, text.size(), is_first});
  pre_tokenizer_->apply(words);
  for (const Word& word : words.list)
    encode_word(std::string_view(words.text).substr(word.begin, word.end - word.begin), scratch, ids);
}

/// Where the pre-tokenizer leaves whole texts (SentencePiece's vocabularies), cuts them before spaces that no merge
/// reaches over: the same tokens, and words that the cache knows.
void JsonTokenizer::encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const {
  size_t begin = 0;
  for (size_t at = word.find(kSpaceOfWords, 1); at != std::string_view::npos; at = word.find(kSpaceOfWords, at + 1)) {
    if (!model_->may_cut_before_space(word, at)) continue;
    encode_part(word.substr(begin, at - begin), scratch, ids);
    begin = at;
  }
  encode_part(word.substr(begin), scratch, ids);
}

void JsonTokenizer::encode_part(std::string_view part, Scratch& scratch, std::vector<TokenId>& ids) const {
  if (!WordCache::takes(part)) return model_->encode(part, scratch.merging, ids);
  const std::vector<TokenId>& known =
      scratch.cache.ids_of(part, [&](std::vector<TokenId>& own) { model_->encode(part, scratch.merging, own); });
  ids.insert(ids.end(), known.begin(), known.end());
}

std::string JsonTokenizer::decode(const std::vector<TokenId>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) {
    const AddedToken* added = added_tokens_->of_id(id);
    if (added && added->special && skip_special_tokens) continue;
    if (added) {
      tokens.push_back(added->content);
    } else if (id >= 0 && id < model_->size()) {
      tokens.push_back(model_->text_of(id));
    }
  }
  std::string text;
  if (decoder_) decoder_->apply(tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !decoder_) text += ' ';  // as the library does without a decoder
    text += tokens[i];
  }
  return text;
}

std::optional<TokenId> JsonTokenizer::id_of(std::string_view text) const {
  const AddedToken* added = added_tokens_->of_text(text);
  return added ? added->id : model_->id_of(text);
}

}  // namespace allreco::data
