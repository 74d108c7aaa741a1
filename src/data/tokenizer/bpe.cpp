#include "data/tokenizer/bpe.h"

#include <algorithm>

#include "core/check.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr size_t kMaxTokens = 1 << 22;
constexpr size_t kMaxMerges = 1 << 23;
constexpr size_t kMaxTokenBytes = 4096;
constexpr size_t kMaxShortWord = 24;  // symbols; below it a scan beats a heap
constexpr char32_t kSpaceCharacter = 0x2581;
constexpr std::string_view kSpace = "\u2581";
constexpr size_t kNumCodePoints = 0x110000;

void refuse_unless_empty(const Fields& model, const char* key, const std::string& where) {
  const auto found = model.find(key);
  // NOLINTNEXTLINE(readability-container-size-empty): a JSON text is never empty()
  if (found == model.end() || found->is_null() || *found == "") return;
  core::user_error("{}: {} = {} is not supported", where, key, found->dump());
}

void refuse_dropout(const Fields& model, const std::string& where) {
  const auto found = model.find("dropout");
  if (found == model.end() || found->is_null() || (found->is_number() && *found == 0.0)) return;
  core::user_error("{}: dropout = {} makes tokens random and is not supported; set it to null", where, found->dump());
}

}  // namespace

Bpe::Bpe(const Fields& model, const std::string& where) {
  const std::string type = model.is_object() && !model.contains("type") ? "BPE" : text_field(model, "type", where);
  if (type != "BPE") refuse_type(fmt::format("the model {}", type), "BPE", where);
  refuse_dropout(model, where);
  refuse_unless_empty(model, "continuing_subword_prefix", where);
  refuse_unless_empty(model, "end_of_word_suffix", where);
  fuse_unknown_ = flag_field(model, "fuse_unk", false, where);
  byte_fallback_ = flag_field(model, "byte_fallback", false, where);
  ignore_merges_ = flag_field(model, "ignore_merges", false, where);
  read_vocabulary(field(model, "vocab", where), where);
  read_merges(field(model, "merges", where), where);
  if (byte_fallback_) read_byte_tokens();
  if (model.contains("unk_token") && !model.at("unk_token").is_null()) {
    const std::string unknown = text_field(model, "unk_token", where);
    const auto id = id_of(unknown);
    if (!id) core::user_error("{}: unk_token \"{}\" is not in the vocabulary", where, unknown);
    unknown_ = *id;
  }
}

void Bpe::read_vocabulary(const Fields& vocabulary, const std::string& where) {
  if (!vocabulary.is_object())
    core::user_error("{}: \"vocab\" must be an object, not {}", where, vocabulary.type_name());
  if (vocabulary.empty() || vocabulary.size() > kMaxTokens)
    core::user_error("{}: a vocabulary of {} tokens; 1 to {} are allowed", where, vocabulary.size(), kMaxTokens);
  texts_.resize(vocabulary.size());
  std::vector<bool> is_taken(vocabulary.size());
  for (const auto& [text, id] : vocabulary.items()) {
    const bool is_id = id.is_number_unsigned() && id.get<std::uint64_t>() < texts_.size();
    if (!is_id || is_taken[id.get<size_t>()]) {
      core::user_error("{}: \"{}\" has the id {}; the ids of {} tokens must be 0 to {}, each once", where, text,
                       id.dump(), texts_.size(), texts_.size() - 1);
    }
    if (text.size() > kMaxTokenBytes)
      core::user_error("{}: token {} has {} bytes; at most {} are allowed", where, id.dump(), text.size(),
                       kMaxTokenBytes);
    is_taken[id.get<size_t>()] = true;
    texts_[id.get<size_t>()] = text;
  }
  ids_.reserve(texts_.size());
  character_ids_.assign(kNumCodePoints, -1);
  for (size_t id = 0; id < texts_.size(); ++id) {
    ids_.emplace(texts_[id], static_cast<TokenId>(id));
    if (!texts_[id].empty() && character_at(texts_[id], 0) == texts_[id])
      character_ids_[code_point_of(texts_[id])] = static_cast<TokenId>(id);
  }
}

void Bpe::read_merges(const Fields& merges, const std::string& where) {
  if (!merges.is_array() || merges.size() > kMaxMerges)
    core::user_error("{}: \"merges\" must be a list of at most {} entries", where, kMaxMerges);
  merges_.reserve(merges.size());
  std::uint32_t priority = 0;
  for (const Fields& merge : merges) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), priority++, where);
      continue;
    }
    const std::string_view line = merge.is_string() ? std::string_view(merge.get_ref<const std::string&>()) : "";
    if (line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      core::user_error("{}: merge {} is {}; two pieces are needed", where, priority, merge.dump().substr(0, 100));
    add_merge(line.substr(0, space), line.substr(space + 1), priority++, where);
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, std::uint32_t priority, const std::string& where) {
  const auto known = [&](std::string_view text) {
    const auto id = id_of(text);
    if (!id) {
      core::user_error("{}: merge {} (\"{}\" and \"{}\") needs \"{}\", which is not in the vocabulary", where, priority,
                       left, right, text);
    }
    return *id;
  };
  const TokenId left_id = known(left), right_id = known(right);
  merges_.set(left_id, right_id, {priority, known(std::string(left) + std::string(right))});
  if (right.starts_with(kSpace) && !left.empty())
    joined_to_space_[code_point_of(character_before(left, left.size()))] = true;
}

void Bpe::read_byte_tokens() {
  for (int byte = 0; byte < 256; ++byte) byte_ids_.push_back(id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1));
}

std::optional<TokenId> Bpe::id_of(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional<TokenId>(found->second);
}

bool Bpe::append_byte_tokens(std::string_view character, std::vector<Symbol>& symbols) const {
  const auto id_of_byte = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(character.begin(), character.end(), [&](char byte) { return id_of_byte(byte) >= 0; })) return false;
  for (const char byte : character) symbols.push_back({id_of_byte(byte)});
  return true;
}

void Bpe::to_symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  // An unknown character's token is written late, at the next known one or at the end: so does the library, where
  // byte tokens in between come before it.
  bool has_unknown = false;
  for_each_character(word, [&](char32_t c, size_t begin, size_t end) {
    if (const TokenId id = character_ids_[c]; id >= 0) {
      if (has_unknown) symbols.push_back({unknown_});
      has_unknown = false;
      symbols.push_back({id});
      return;
    }
    if (byte_fallback_ && append_byte_tokens(word.substr(begin, end - begin), symbols)) return;
    if (unknown_ < 0) return;
    if (has_unknown && !fuse_unknown_) symbols.push_back({unknown_});
    has_unknown = true;
  });
  if (has_unknown) symbols.push_back({unknown_});
}

void Bpe::encode(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = id_of(word)) return ids.push_back(*whole);
  }
  std::vector<Symbol>& symbols = scratch.symbols;
  to_symbols(word, symbols);
  if (symbols.empty()) return;
  if (symbols.size() <= kMaxShortWord) {
    merges_.merge_few(symbols, scratch.priorities);
  } else {
    merges_.merge_many(symbols, scratch.heap);
  }
  for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    ids.push_back(symbols[static_cast<size_t>(i)].id);
}

bool Bpe::may_cut_before_space(std::string_view word, size_t at) const {
  if (ignore_merges_ || character_ids_[kSpaceCharacter] < 0 || at == 0) return false;
  const char32_t before = code_point_of(character_before(word, at));
  // An unknown character before it may be waiting for its token.
  return character_ids_[before] >= 0 && !joined_to_space_.contains(before);
}

}  // namespace allreco::data
