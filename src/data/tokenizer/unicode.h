// Unicode as the `tokenizers` library sees it, whichever version ICU has here. ICU stays inside unicode.cpp.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

/// Calls use(code_point, begin, end) for each character of valid UTF-8.
template <class Use>
void for_each_character(std::string_view text, Use use) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
    const char32_t lead = byte(0);
    size_t length = 1;
    char32_t code_point = lead;
    if (lead >= 0xF0) {
      length = 4;
      code_point = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    } else if (lead >= 0xE0) {
      length = 3;
      code_point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    } else if (lead >= 0xC0) {
      length = 2;
      code_point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    }
    use(code_point, at, at + length);
    at += length;
  }
}

/// The character that begins at `at`, or the one that ends there. REQUIRES valid UTF-8 and such a character.
std::string_view character_at(std::string_view text, size_t at);
std::string_view character_before(std::string_view text, size_t at);
char32_t code_point_of(std::string_view character);
void append_utf8(char32_t code_point, std::string& text);

bool is_valid_utf8(std::string_view text);
/// U+FFFD for each maximal part that is not UTF-8 (Unicode's own practice, Rust's from_utf8_lossy).
std::string to_valid_utf8(std::string_view text);

bool is_white_space(char32_t c);  // White_Space; the same in all versions since 6.3
bool is_numeric(char32_t c);      // \p{N} of Unicode 17: the Digits pre-tokenizer
bool is_punctuation(char32_t c);  // the Punctuation pre-tokenizer
bool is_word(char32_t c);         // \w: single_word of added tokens

enum class Form { nfc, nfd, nfkc, nfkd };
/// Of Unicode 9, the version that the library has: newer characters stay as they are.
std::string normalize(std::string_view text, Form form);
/// Each character alone, Unicode 16: no final sigma.
std::string lower_case(std::string_view text);
/// Runs of letters (Alphabetic) and digits (\p{N}) in lower case. A combining mark goes on with a word and begins none.
/// Bytes that are not UTF-8 part words.
std::vector<std::string> words_of(std::string_view text);

/// For regular expressions: `text` with characters whose kind changed after Unicode 14 (PCRE2's oldest) replaced by
/// others of their kind and length, so that matches lie at the same bytes. Returns `text` itself or a view of `buffer`.
std::string_view with_stand_ins(std::string_view text, std::string& buffer);

}  // namespace allreco::data
