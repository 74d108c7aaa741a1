#include "data/tokenizer/byte_alphabet.h"

#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr char32_t kNumCharacters = 256 + 68;  // bytes without a visible character come behind 255

bool is_visible(char32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
}

struct Alphabet {
  Alphabet() {
    byte_of.fill(-1);
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const char32_t c = is_visible(byte) ? byte : next++;
      append_utf8(c, characters[byte]);
      byte_of[c] = static_cast<int>(byte);
    }
  }
  std::array<std::string, 256> characters;
  std::array<int, kNumCharacters> byte_of;
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<std::string, 256>& byte_characters() { return alphabet().characters; }

void append_bytes_of(std::string_view token, std::string& bytes) {
  const size_t start = bytes.size();
  bool is_known = true;
  for_each_character(token, [&](char32_t c, size_t, size_t) {
    const int byte = c < kNumCharacters ? alphabet().byte_of[c] : -1;
    is_known &= byte >= 0;
    bytes += static_cast<char>(byte);
  });
  if (!is_known) bytes.replace(start, std::string::npos, token);
}

}  // namespace allreco::data
