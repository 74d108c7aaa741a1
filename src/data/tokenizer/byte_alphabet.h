// GPT-2's alphabet of 256 visible characters, one for each byte.
#pragma once
#include <array>
#include <string>
#include <string_view>

namespace allreco::data {

/// The character (UTF-8) of each byte.
const std::array<std::string, 256>& byte_characters();

/// The bytes that `token` stands for, appended; the token itself where a character of it is none of the alphabet.
void append_bytes_of(std::string_view token, std::string& bytes);

}  // namespace allreco::data
