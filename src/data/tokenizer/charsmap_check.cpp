#include "data/tokenizer/charsmap_check.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "data/tokenizer/protobuf_fields.h"

namespace allreco::data {

namespace {

// Fields of sentencepiece_model.proto.
constexpr std::uint64_t kNormalizer = 3, kDenormalizer = 5, kPrecompiledCharsmap = 2;

/// A unit of darts-clone's array: the child for byte c of the unit at i lies at i ^ offset ^ c, its value, if any, at
/// i ^ offset. Units with the highest bit are values, which no search goes on from, except at the root.
struct Unit {
  std::uint32_t bits;
  bool is_value() const { return (bits >> 31) != 0; }
  bool has_value() const { return ((bits >> 8) & 1) != 0; }
  std::uint32_t offset() const { return (bits >> 10) << ((bits & (1u << 9)) >> 6); }
  std::uint32_t value() const { return bits & 0x7FFFFFFF; }
};

bool is_sound_trie(const std::vector<Unit>& units, size_t texts_size) {
  for (size_t i = 0; i < units.size(); ++i) {
    if (units[i].is_value() && i > 0) continue;
    const size_t next = i ^ units[i].offset();
    if ((next | 0xFF) >= units.size()) return false;
    if (units[i].has_value() && units[next].value() >= texts_size) return false;
  }
  return !units.empty();
}

/// uint32 size of the trie in bytes, the trie, texts that each end with '\0'.
bool is_sound_charsmap(std::string_view blob) {
  if (blob.empty()) return true;
  std::uint32_t trie_size = 0;
  if (blob.size() < sizeof(trie_size)) return false;
  std::memcpy(&trie_size, blob.data(), sizeof(trie_size));
  blob.remove_prefix(sizeof(trie_size));
  if (trie_size > blob.size() || trie_size % sizeof(Unit) != 0) return false;
  const std::string_view texts = blob.substr(trie_size);
  if (texts.empty() || texts.back() != '\0') return false;
  std::vector<Unit> units(trie_size / sizeof(Unit));
  if (trie_size > 0) std::memcpy(units.data(), blob.data(), trie_size);
  return is_sound_trie(units, texts.size());
}

bool is_sound_normalizer(std::string_view message) {
  return for_each_field(message, [](const ProtobufField& field) {
    return field.number != kPrecompiledCharsmap || !field.is_bytes || is_sound_charsmap(field.bytes);
  });
}

}  // namespace

void check_charsmaps(std::string_view model, const std::string& source) {
  const bool is_sound = for_each_field(model, [](const ProtobufField& field) {
    const bool is_normalizer = field.number == kNormalizer || field.number == kDenormalizer;
    return !is_normalizer || !field.is_bytes || is_sound_normalizer(field.bytes);
  });
  if (is_sound) return;
  core::user_error(
      "{} is not a SentencePiece model, or its precompiled_charsmap leads outside itself: the file is damaged or made "
      "to "
      "do harm. Take it from the model's publisher",
      source);
}

}  // namespace allreco::data
