#include "core/text.h"

#include <algorithm>
#include <cstdint>

namespace allreco::core {

namespace {

struct CodePoint {
  std::uint32_t value = 0;
  size_t num_bytes = 0;  // 0: no UTF-8 starts here
};

/// Strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
CodePoint first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < n) return {};
  std::uint32_t value = lead & (0x7Fu >> n);
  for (size_t k = 1; k < n; ++k) {
    const auto byte = static_cast<unsigned char>(text[k]);
    if ((byte & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte & 0x3Fu);
  }
  const std::uint32_t smallest = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
  const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value < smallest || is_surrogate || value > 0x10FFFF ? CodePoint{} : CodePoint{value, n};
}

/// Controls, and what ends lines or turns the direction of the text behind it (Unicode's Bidi_Control, U+2028, U+2029).
bool acts(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

std::string escape_of(std::uint32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return c < 0x100 ? fmt::format("\\x{:02x}", c) : fmt::format("\\u{:04x}", c);
  }
}

/// Copies what is only text; `replacement(code point)` stands for what acts, `invalid(byte)` for what is no UTF-8.
template <class Replacement, class Invalid>
std::string filtered(std::string_view text, const Replacement& replacement, const Invalid& invalid) {
  std::string kept;
  kept.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    if (c.num_bytes == 0) {
      kept += invalid(static_cast<unsigned char>(text[0]));
    } else if (acts(c.value)) {
      kept += replacement(c.value);
    } else {
      kept += text.substr(0, c.num_bytes);
    }
    text.remove_prefix(std::max<size_t>(c.num_bytes, 1));
  }
  return kept;
}

std::string hex_byte(unsigned char byte) { return fmt::format("\\x{:02x}", byte); }

}  // namespace

std::string printable(std::string_view text) { return filtered(text, escape_of, hex_byte); }

std::string printable_lines(std::string_view text) {
  return filtered(
      text, [](std::uint32_t c) { return c == '\n' ? "\n" : escape_of(c); }, hex_byte);
}

std::string yaml_quoted(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  // In YAML \xHH is the character U+00HH, so a byte that is none has no escape.
  return '"' + filtered(escaped, escape_of, [](unsigned char) { return std::string("\\uFFFD"); }) + '"';
}

std::string markdown_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : printable(text)) {
    if (std::string_view("\\`*_[]<>|~&#!").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string markdown_code_block(std::string_view lines) {
  size_t longest = 2, run = 0;
  for (const char c : lines) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  const bool ends_line = lines.empty() || lines.back() == '\n';
  return fmt::format("{}\n{}{}{}\n", fence, printable_lines(lines), ends_line ? "" : "\n", fence);
}

}  // namespace allreco::core
