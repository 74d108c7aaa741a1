#include "data/tokenizer/sentencepiece_cuts.h"

#include "data/tokenizer/protobuf_fields.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr std::string_view kEscapedSpace = "\u2581";  // what the library writes for a space

// Fields of sentencepiece_model.proto.
constexpr std::uint64_t kPiece = 1, kTrainerSpec = 2, kNormalizerSpec = 3;
constexpr std::uint64_t kPieceText = 1;
constexpr std::uint64_t kModelType = 3, kSpaceAsSuffix = 24, kBpe = 2;
constexpr std::uint64_t kCharsmap = 2, kAddDummyPrefix = 3, kRemoveExtraSpaces = 4, kEscapeSpaces = 5;

}  // namespace

SentencePieceCuts::SentencePieceCuts(std::string_view model) {
  const bool is_read = for_each_field(model, [this](const ProtobufField& field) {
    if (field.number == kPiece && field.is_bytes) read_piece(field.bytes);
    if (field.number == kTrainerSpec && field.is_bytes) read_trainer(field.bytes);
    if (field.number == kNormalizerSpec && field.is_bytes) read_normalizer(field.bytes);
    return true;
  });
  const bool makes_same_spaces = !removes_extra_spaces_ || begins_with_space_;
  are_proven_ = is_read && is_bpe_ && is_plain_ && has_space_piece_ && makes_same_spaces;
}

void SentencePieceCuts::read_piece(std::string_view message) {
  for_each_field(message, [this](const ProtobufField& field) {
    if (field.number != kPieceText || !field.is_bytes) return true;
    const std::string_view piece = field.bytes;
    if (piece == kEscapedSpace) has_space_piece_ = true;
    if (!is_valid_utf8(piece)) {
      is_plain_ = is_plain_ && piece.find(kEscapedSpace) == std::string_view::npos;
      return true;
    }
    for (std::size_t at = piece.find(kEscapedSpace, 1); at != std::string_view::npos;
         at = piece.find(kEscapedSpace, at + 1)) {
      const std::string_view before = character_before(piece, at);
      if (before != kEscapedSpace) joined_to_space_.insert(code_point_of(before));
    }
    return true;
  });
}

void SentencePieceCuts::read_trainer(std::string_view message) {
  for_each_field(message, [this](const ProtobufField& field) {
    if (field.number == kModelType) is_bpe_ = field.value == kBpe;
    if (field.number == kSpaceAsSuffix && field.value != 0) is_plain_ = false;
    return true;
  });
}

void SentencePieceCuts::read_normalizer(std::string_view message) {
  for_each_field(message, [this](const ProtobufField& field) {
    if (field.number == kCharsmap && !field.bytes.empty()) is_plain_ = false;
    if (field.number == kEscapeSpaces && field.value == 0) is_plain_ = false;
    if (field.number == kAddDummyPrefix) begins_with_space_ = field.value != 0;
    if (field.number == kRemoveExtraSpaces) removes_extra_spaces_ = field.value != 0;
    return true;
  });
}

/// REQUIRES a space at `at`.
bool SentencePieceCuts::may_cut_at(std::string_view text, std::size_t at) const {
  if (at == 0 || text[at - 1] == ' ' || at + 1 == text.size()) return false;
  return joined_to_space_.empty() || !joined_to_space_.contains(code_point_of(character_before(text, at)));
}

void SentencePieceCuts::for_each_part(std::string_view text,
                                      const std::function<void(std::string_view part)>& visit) const {
  if (text.find(kEscapedSpace) != std::string_view::npos || !is_valid_utf8(text)) return visit(text);
  std::size_t begin = 0;
  for (std::size_t at = text.find(' '); at != std::string_view::npos; at = text.find(' ', at + 1)) {
    if (!may_cut_at(text, at)) continue;
    visit(text.substr(begin, at - begin));
    begin = begins_with_space_ ? at + 1 : at;  // the library puts the space there again
  }
  visit(text.substr(begin));
}

}  // namespace allreco::data
