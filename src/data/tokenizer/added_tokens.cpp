#include "data/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr size_t kMaxContentBytes = 1024;
constexpr size_t kMaxAddedTokens = 1 << 20;

AddedToken parse(const Fields& fields, const std::string& where) {
  AddedToken token;
  token.id = static_cast<TokenId>(count_field(fields, "id", where));
  token.content = text_field(fields, "content", where);
  token.single_word = flag_field(fields, "single_word", where);
  token.lstrip = flag_field(fields, "lstrip", where);
  token.rstrip = flag_field(fields, "rstrip", where);
  token.normalized = flag_field(fields, "normalized", where);
  token.special = flag_field(fields, "special", where);
  if (token.content.empty() || token.content.size() > kMaxContentBytes) {
    core::user_error("{}: the content of token {} has {} bytes; 1 to {} are allowed", where, token.id,
                     token.content.size(), kMaxContentBytes);
  }
  return token;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word(code_point_of(character_before(text, begin)))) return false;
  return end == text.size() || !is_word(code_point_of(character_at(text, end)));
}

size_t skip_space_before(std::string_view text, size_t at, size_t first) {
  while (at > first) {
    const std::string_view character = character_before(text, at);
    if (!is_white_space(code_point_of(character))) break;
    at -= character.size();
  }
  return at;
}

size_t skip_space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const std::string_view character = character_at(text, at);
    if (!is_white_space(code_point_of(character))) break;
    at += character.size();
  }
  return at;
}

}  // namespace

const std::uint32_t* TextFinder::child(std::uint32_t node, unsigned char byte) const {
  for (const auto& [label, next] : nodes_[node].children) {
    if (label == byte) return &next;
  }
  return nullptr;
}

void TextFinder::add(const std::string& text, size_t index) {
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const std::uint32_t* next = child(node, byte);
    if (!next) {
      nodes_[node].children.emplace_back(byte, static_cast<std::uint32_t>(nodes_.size()));
      node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      node = *next;
    }
  }
  if (nodes_[node].index == npos) nodes_[node].index = index;
  starts_[static_cast<unsigned char>(text.front())] = true;
}

TextFinder::Match TextFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    Match longest{begin, begin, npos};
    std::uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      const std::uint32_t* next = child(node, static_cast<unsigned char>(text[at]));
      if (!next) break;
      node = *next;
      if (nodes_[node].index != npos) longest = {begin, at + 1, nodes_[node].index};
    }
    if (longest.index != npos) return longest;
  }
  return {text.size(), text.size(), npos};
}

AddedTokens::AddedTokens(const Fields& list, const Bpe& model, const Normalizer* normalizer, const std::string& where) {
  if (!list.is_array()) core::user_error("{}: must be a list, not {}", where, list.type_name());
  if (list.size() > kMaxAddedTokens)
    core::user_error("{}: {} tokens; at most {} are allowed", where, list.size(), kMaxAddedTokens);
  next_id_ = static_cast<TokenId>(model.size());
  for (const Fields& fields : list) add(parse(fields, where), model, where);
  build_finders(normalizer, where);
}

void AddedTokens::add(AddedToken token, const Bpe& model, const std::string& where) {
  const auto in_vocabulary = model.id_of(token.content);
  const TokenId expected = in_vocabulary ? *in_vocabulary : next_id_++;
  if (token.id != expected) {
    core::user_error("{}: \"{}\" has the id {}, but {} is {}: the vocabulary and this list contradict", where,
                     token.content, token.id, in_vocabulary ? "that in the vocabulary" : "the next free one", expected);
  }
  const size_t index = tokens_.size();
  if (!by_text_.try_emplace(token.content, index).second || !by_id_.try_emplace(token.id, index).second)
    core::user_error("{}: \"{}\" stands in it twice", where, token.content);
  tokens_.push_back(std::move(token));
}

void AddedTokens::build_finders(const Normalizer* normalizer, const std::string& where) {
  // Of tokens that the normalizer makes equal the library takes any, from run to run; here it is the first special one.
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].special != special) continue;
      std::string text = tokens_[i].content;
      if (tokens_[i].normalized && normalizer) normalizer->apply(text);
      if (text.empty()) core::user_error("{}: nothing is left of \"{}\" when normalized", where, tokens_[i].content);
      (tokens_[i].normalized ? normalized_ : raw_).add(text, i);
    }
  }
}

void AddedTokens::cut(std::string_view text, Pass pass, bool special_as_text, std::vector<Segment>& segments) const {
  segments.clear();
  size_t start = 0, space_end = 0;  // a run of white space is walked through once
  const TextFinder& texts = finder(pass);
  for (auto match = texts.find(text, 0); match.index != TextFinder::npos; match = texts.find(text, match.end)) {
    const AddedToken& token = tokens_[match.index];
    if (special_as_text && token.special) continue;
    if (token.single_word && !stands_alone(text, match.begin, match.end)) continue;
    size_t begin = match.begin, end = match.end;
    if (token.lstrip) begin = skip_space_before(text, begin, start);
    if (token.rstrip) end = space_end = skip_space_after(text, std::max(end, space_end));
    if (begin > start) segments.push_back({start, begin, -1});
    segments.push_back({begin, end, token.id});
    start = end;
  }
  if (start < text.size()) segments.push_back({start, text.size(), -1});
}

const AddedToken* AddedTokens::of_id(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::of_text(std::string_view text) const {
  const auto found = by_text_.find(std::string(text));
  return found == by_text_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace allreco::data
