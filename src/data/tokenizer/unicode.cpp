#include "data/tokenizer/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/check.h"
#include "data/tokenizer/unicode_tables.h"

namespace allreco::data {

namespace {

template <class Table>
auto find_range(const Table& table, char32_t c) {
  const auto found = std::lower_bound(table.begin(), table.end(), c,
                                      [](const auto& range, char32_t value) { return range.last < value; });
  return found != table.end() && found->first <= c ? &*found : nullptr;
}

std::int32_t length32(std::string_view text) {
  if (text.size() > INT32_MAX) core::user_error("a text of {} bytes is too long to be encoded", text.size());
  return static_cast<std::int32_t>(text.size());
}

icu::StringPiece piece(std::string_view text) { return {text.data(), length32(text)}; }

const icu::Normalizer2& unfiltered(Form form) {
  UErrorCode error = U_ZERO_ERROR;
  const bool is_compatible = form == Form::nfkc || form == Form::nfkd;
  const bool composes = form == Form::nfc || form == Form::nfkc;
  const icu::Normalizer2* found = icu::Normalizer2::getInstance(nullptr, is_compatible ? "nfkc" : "nfc",
                                                                composes ? UNORM2_COMPOSE : UNORM2_DECOMPOSE, error);
  if (U_FAILURE(error)) core::fault("ICU has no normalizer: {}", u_errorName(error));
  return *found;
}

/// Owns what a FilteredNormalizer2 refers to.
struct Unicode9Normalizers {
  Unicode9Normalizers()
      : characters(make_characters()),
        filtered{{{unfiltered(Form::nfc), characters},
                  {unfiltered(Form::nfd), characters},
                  {unfiltered(Form::nfkc), characters},
                  {unfiltered(Form::nfkd), characters}}} {}

  static icu::UnicodeSet make_characters() {
    UErrorCode error = U_ZERO_ERROR;
    icu::UnicodeSet set(u"[:age=9.0:]", error);
    if (U_FAILURE(error)) core::fault("ICU has no character ages: {}", u_errorName(error));
    set.freeze();
    return set;
  }

  icu::UnicodeSet characters;
  std::array<icu::FilteredNormalizer2, 4> filtered;
};

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
}

bool is_mark(char32_t c) {
  const auto category = u_charType(static_cast<UChar32>(c));
  return category == U_NON_SPACING_MARK || category == U_COMBINING_SPACING_MARK || category == U_ENCLOSING_MARK;
}

/// Of what is_word takes, the underscore and its like (Pc) and the joiners (Cf) are neither; of numbers it has digits
/// alone.
bool is_letter_or_number(char32_t c) {
  const auto category = u_charType(static_cast<UChar32>(c));
  const bool is_other = category == U_CONNECTOR_PUNCTUATION || category == U_FORMAT_CHAR;
  return (is_word(c) && !is_other) || is_numeric(c);
}

}  // namespace

std::string_view character_at(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && U8_IS_TRAIL(text[end])) ++end;
  return text.substr(at, end - at);
}

std::string_view character_before(std::string_view text, size_t at) {
  size_t begin = at - 1;
  while (begin > 0 && U8_IS_TRAIL(text[begin])) --begin;
  return text.substr(begin, at - begin);
}

char32_t code_point_of(std::string_view character) {
  char32_t result = 0;
  for_each_character(character, [&](char32_t c, size_t, size_t) { result = c; });
  return result;
}

void append_utf8(char32_t code_point, std::string& text) {
  std::array<char, U8_MAX_LENGTH> bytes{};
  std::int32_t length = 0;
  U8_APPEND_UNSAFE(bytes.data(), length, code_point);
  text.append(bytes.data(), static_cast<size_t>(length));
}

bool is_valid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const std::int32_t size = length32(text);
  for (std::int32_t at = 0; at < size;) {
    UChar32 c = bytes[at];
    if (c < 0x80) {
      ++at;
      continue;
    }
    U8_NEXT(bytes, at, size, c);
    if (c < 0) return false;
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string valid;
  if (is_valid_utf8(text)) return std::string(text);
  return icu::UnicodeString::fromUTF8(piece(text)).toUTF8String(valid);
}

bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }
bool is_numeric(char32_t c) { return find_range(kNumericRanges, c) != nullptr; }
bool is_punctuation(char32_t c) { return find_range(kPunctuationRanges, c) != nullptr; }
bool is_word(char32_t c) { return find_range(kWordRanges, c) != nullptr; }

std::string normalize(std::string_view text, Form form) {
  if (is_ascii(text)) return std::string(text);
  static const Unicode9Normalizers normalizers;
  UErrorCode error = U_ZERO_ERROR;
  const icu::UnicodeString source = icu::UnicodeString::fromUTF8(piece(text));
  const icu::Normalizer2& normalizer = normalizers.filtered[static_cast<size_t>(form)];
  const icu::UnicodeString result = normalizer.normalize(source, error);
  if (U_FAILURE(error)) core::fault("ICU cannot normalize {} bytes of text: {}", text.size(), u_errorName(error));
  std::string utf8;
  return result.toUTF8String(utf8);
}

std::string lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for_each_character(text, [&](char32_t c, size_t, size_t) {
    if (const MappedRange* range = find_range(kNewLowerCase, c)) return append_utf8(range->to, lower);
    if (c == 0x130) lower += "i\u0307";  // the one character whose lower case is two
    if (c != 0x130) append_utf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))), lower);
  });
  return lower;
}

std::vector<std::string> words_of(std::string_view text) {
  const std::string lower = lower_case(to_valid_utf8(text));
  std::vector<std::string> words;
  bool is_inside = false;
  for_each_character(lower, [&](char32_t c, size_t begin, size_t end) {
    if (!is_mark(c)) {
      const bool goes_on = is_inside;
      is_inside = is_letter_or_number(c);
      if (is_inside && !goes_on) words.emplace_back();
    }
    if (is_inside) words.back().append(lower, begin, end - begin);
  });
  return words;
}

std::string_view with_stand_ins(std::string_view text, std::string& buffer) {
  if (is_ascii(text)) return text;
  bool is_changed = false;
  for_each_character(text, [&](char32_t c, size_t begin, size_t) {
    if (c < kStandIns.front().first) return;
    const MappedRange* range = find_range(kStandIns, c);
    if (!range) return;
    if (!is_changed) buffer.assign(text);
    is_changed = true;
    std::string other;
    append_utf8(range->to, other);
    buffer.replace(begin, other.size(), other);
  });
  return is_changed ? std::string_view(buffer) : text;
}

}  // namespace allreco::data
