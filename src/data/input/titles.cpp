#include "data/input/titles.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/check.h"

namespace allreco::data {

namespace {

// Elements that stand inside a word or sentence: their tags vanish, all others leave a space.
constexpr std::array<std::string_view, 14> kInline = {"a",     "abbr", "b",      "em",     "font", "i",   "s",
                                                      "small", "span", "strike", "strong", "sub",  "sup", "u"};
constexpr std::array<std::string_view, 36> kBlock = {
    "br", "button", "center", "code", "dd",     "div",   "dl",    "dt",    "form",  "h1", "h2",   "h3",
    "h4", "h5",     "h6",     "head", "hr",     "html",  "img",   "input", "label", "li", "link", "meta",
    "ol", "option", "p",      "pre",  "select", "table", "tbody", "td",    "tr",    "ul", "body", "iframe"};
constexpr std::array<std::string_view, 3> kWithContent = {"noscript", "script",
                                                          "style"};  // dropped with what they hold

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

template <size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The lower-case name of the tag that starts at text[at] == '<', or "" if that is no tag of HTML ("I <3 U", "<24
/// count").
std::string tag_name(std::string_view text, size_t at) {
  size_t i = at + 1;
  if (i < text.size() && text[i] == '/') ++i;
  std::string name;
  while (i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0) {
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i++])));
  }
  const bool ends =
      i == text.size() || text[i] == '>' || text[i] == '/' || std::isspace(static_cast<unsigned char>(text[i]));
  const bool known = contains(kInline, name) || contains(kBlock, name) || contains(kWithContent, name);
  return ends && known ? name : "";
}

/// Where the text goes on after `mark`, searched from `from`; its end if the mark is missing: scraped markup is often
/// cut off.
size_t after(std::string_view text, std::string_view mark, size_t from) {
  const size_t found = text.find(mark, from);
  return found == std::string_view::npos ? text.size() : found + mark.size();
}

std::string drop_tags(std::string_view text) {
  std::string kept;
  size_t i = 0;
  while (i < text.size()) {
    if (text.substr(i).starts_with("<!--")) {
      i = after(text, "-->", i);
      continue;
    }
    const std::string name = text[i] == '<' ? tag_name(text, i) : "";
    if (name.empty()) {
      kept += text[i++];
      continue;
    }
    if (!contains(kInline, name)) kept += ' ';
    const bool opens = text[i + 1] != '/';
    i = after(text, ">", i);
    if (opens && contains(kWithContent, name)) i = after(text, ">", std::min(text.find("</" + name, i), text.size()));
  }
  return kept;
}

struct CodePoint {
  std::uint32_t value;
  size_t num_bytes;
};

/// REQUIRES valid UTF-8.
CodePoint code_point_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[at + k]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (at + n > text.size()) return {lead, 1};
  std::uint32_t value = lead & (0x7Fu >> n);
  for (size_t k = 1; k < n; ++k) value = (value << 6) | (byte(k) & 0x3Fu);
  return {value, n};
}

bool is_space(std::uint32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_invisible(std::uint32_t c) {  // controls, soft hyphen, zero-width and direction marks, byte order mark
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || c == 0xFFFD;
}

std::string collapse_spaces(std::string_view text) {
  std::string kept;
  bool space_pending = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (is_space(c.value)) {
      space_pending = !kept.empty();
    } else if (!is_invisible(c.value)) {
      if (space_pending) kept += ' ';
      space_pending = false;
      kept.append(text.substr(i, c.num_bytes));
    }
    i += c.num_bytes;
  }
  return kept;
}

/// At most max_length code points, cut at the last space if there is one.
bool cut_at_word(std::string& text, std::int64_t max_length) {
  size_t end = 0;
  for (std::int64_t n = 0; n < max_length && end < text.size(); ++n) end += code_point_at(text, end).num_bytes;
  if (end >= text.size()) return false;
  const size_t space = text.rfind(' ', end);
  text.resize(space == std::string::npos || space == 0 ? end : space);
  return true;
}

bool has_letter_or_digit(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 ||
           (static_cast<unsigned char>(c) & 0x80) != 0;
  });
}

std::string clean_once(std::string_view text) { return collapse_spaces(drop_tags(decode_html_entities(text))); }

/// Repeats it until nothing changes, as decoding "&amp;#39;" or "&lt;b&gt;" uncovers more to do. False where that takes
/// more rounds than any real title needs: "&amp;amp;amp;..." would cost the square of its length.
bool clean_fully(std::string& text) {
  constexpr int kMostRounds = 16;
  for (int round = 0; round < kMostRounds; ++round) {
    std::string next = clean_once(text);
    if (next == text) return true;
    text = std::move(next);
  }
  return false;
}

}  // namespace

CleanTitle clean_title(std::string_view raw, std::int64_t max_length) {
  core::require(max_length > 0, "a title needs room for a character");
  std::string text = collapse_spaces(raw);
  if (text.empty()) return {"", TitleProblem::missing, false};
  if (text.find("getTime") != std::string::npos) return {"", TitleProblem::script, false};
  bool was_cut = false, goes_on = true;
  while (goes_on) {  // a cut can make a tag of what was none: "<br-free" ends as "<br"
    if (!clean_fully(text)) return {"", TitleProblem::markup_only, false};
    goes_on = cut_at_word(text, max_length);
    was_cut = was_cut || goes_on;
  }
  if (!has_letter_or_digit(text)) return {"", TitleProblem::markup_only, false};
  return {std::move(text), TitleProblem::none, was_cut};
}

}  // namespace allreco::data
