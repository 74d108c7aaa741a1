// Numbers (and structs of them) and texts as bytes, one after another: how records travel between ranks.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace allreco::data {

template <class T>
void append_number(std::string& bytes, T number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

inline void append_text(std::string& bytes, std::string_view text) {
  append_number(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
}

template <class T>
T take_number(std::string_view& bytes) {
  T number;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return number;
}

inline std::string_view take_text(std::string_view& bytes) {
  const auto size = take_number<std::uint32_t>(bytes);
  const std::string_view text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return text;
}

}  // namespace allreco::data
