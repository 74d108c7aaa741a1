#include "cli/config_file.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::cli {
using core::user_error;

namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// \" \\ \n \r \t, and \xHH for one byte. `rest` begins behind the backslash, and is moved on.
char unescape(std::string_view& rest, const std::string& at) {
  constexpr std::string_view kLetters = "\"\\nrt", kMeanings = "\"\\\n\r\t";
  if (rest.empty()) user_error("{}: a backslash at the end", at);
  const char c = rest.front();
  rest.remove_prefix(1);
  if (const size_t i = kLetters.find(c); i != std::string_view::npos) return kMeanings[i];
  if (c == 'x' && rest.size() >= 2) {
    const size_t high = kHexDigits.find(rest[0]), low = kHexDigits.find(rest[1]);
    rest.remove_prefix(2);
    if (high != std::string_view::npos && low != std::string_view::npos) return static_cast<char>(16 * high + low);
  }
  user_error(R"({}: unknown escape \{} in a quoted value, expected \" \\ \n \r \t or \x and two of 0-9a-f)", at, c);
}

/// `rest` begins behind the opening quote; behind the closing one there may be a comment.
std::string unquote(std::string_view rest, const std::string& at) {
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    const char c = rest.front();
    rest.remove_prefix(1);
    value += c == '\\' ? unescape(rest, at) : c;
  }
  if (rest.empty()) user_error("{}: the value's closing quote is missing", at);
  rest = trim(rest.substr(1));
  if (!rest.empty() && rest.front() != '#') user_error("{}: {} behind the closing quote", at, rest);
  return value;
}

ConfigEntry parse_line(std::string_view line, size_t number, const std::string& at) {
  const size_t equals = line.find('=');
  const std::string_view key = trim(line.substr(0, equals));
  if (equals == std::string_view::npos || key.empty() || key.find('#') != std::string_view::npos)
    user_error("{}: expected `key = value`, found {}; comments begin with #", at, line);
  const std::string_view value = trim(line.substr(equals + 1));
  if (value.starts_with('"')) return {std::string(key), unquote(value.substr(1), at), number};
  return {std::string(key), std::string(trim(value.substr(0, value.find('#')))), number};
}

bool needs_quotes(const std::string& value) {
  return trim(value) != value || value.starts_with('"') || value.find('#') != std::string::npos ||
         std::any_of(value.begin(), value.end(), is_control);
}

std::string quote(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (is_control(c)) {
      text += {'\\', 'x', kHexDigits[byte / 16], kHexDigits[byte % 16]};
    } else {
      text += c;
    }
  }
  return text + '"';
}

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& where) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    user_error("{} is in UTF-16: save it as UTF-8", where);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, as some editors write it
  std::vector<ConfigEntry> entries;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    entries.push_back(parse_line(line, number, fmt::format("{}, line {}", where, number)));
    const ConfigEntry& entry = entries.back();
    const auto same = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.key == entry.key; });
    if (same->line != number)
      user_error("{}: {} is there twice, in lines {} and {}", where, entry.key, same->line, number);
  }
  return entries;
}

std::string config_line(const std::string& key, const std::string& value) {
  return fmt::format("{} = {}\n", key, needs_quotes(value) ? quote(value) : value);
}

}  // namespace allreco::cli
