#include "data/tokenizer/pattern.h"

#include <algorithm>
#include <string_view>

#include "core/check.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

// What may follow a backslash, beside punctuation: the same in Oniguruma (Ruby's syntax) and PCRE2. Not among them:
// \w and \b (marks and connectors differ), \h (a hexadecimal digit there), \v, \R, \X, \G, \K, \Z.
constexpr std::string_view kSameEscapes = "dDsSpPnrtfx";

[[noreturn]] void refuse(std::string_view construct, const std::string& pattern, const std::string& where) {
  core::user_error(
      "{}: {} in the regular expression {} is not supported: the libraries read it in different ways. Make "
      "the ids with the model's own tokenizer and give them to `prepare --tokens`",
      where, construct, pattern);
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// Group openings that mean the same: (?: (?= (?! (?> (?<= (?<! (?i) (?i: (?-i:
bool is_same_group(std::string_view rest) {
  for (std::string_view same : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?i)", "(?-i:", "(?-i)"}) {
    if (rest.starts_with(same)) return true;
  }
  return false;
}

/// Oniguruma's full case folding takes one character for two letters: (?i)ss matches a sharp s.
void require_simple_folding(const std::string& pattern, const std::string& where) {
  if (pattern.find("(?i") == std::string::npos) return;
  const std::string lower = lower_case(pattern);
  for (const char* letters : {"ss", "ff", "fi", "fl", "st"}) {
    if (lower.find(letters) != std::string::npos) refuse(fmt::format("(?i) with {}", letters), pattern, where);
  }
}

void require_same_meaning(const std::string& pattern, const std::string& where) {
  int class_depth = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    if (rest[0] == '\\') {
      if (rest.size() > 1 && is_letter_or_digit(rest[1]) && kSameEscapes.find(rest[1]) == std::string_view::npos)
        refuse(rest.substr(0, 2), pattern, where);
      const bool has_braces = rest.size() > 2 && rest[2] == '{' && is_letter_or_digit(rest[1]);  // \p{L}
      i += has_braces ? std::min(rest.find('}'), rest.size()) : 1;
    } else if (class_depth > 0) {
      if (rest.starts_with("&&")) refuse("&& (an intersection)", pattern, where);
      if (rest[0] == '[') refuse("[ within [ ] (a nested or POSIX class)", pattern, where);
      if (rest[0] == ']') --class_depth;
    } else if (rest[0] == '[') {
      ++class_depth;
    } else if (rest.starts_with("(*") || (rest.starts_with("(?") && !is_same_group(rest))) {
      refuse(rest.substr(0, 3), pattern, where);
    } else if (rest.starts_with("}+")) {
      refuse("}+ (not possessive there)", pattern, where);
    }
  }
}

}  // namespace

Pattern::Pattern(const Fields& fields, const std::string& where) {
  if (fields.is_object() && fields.contains("Regex")) {
    *this = regex(text_field(fields, "Regex", where), where);
  } else {
    string_ = text_field(fields, "String", where);
  }
}

Pattern Pattern::regex(const std::string& pattern, const std::string& where) {
  require_same_meaning(pattern, where);
  require_simple_folding(pattern, where);
  Pattern result;
  result.regex_.emplace(where, pattern, /*multiline=*/true);  // as in Ruby, ^ and $ are those of a line
  return result;
}

void Pattern::find(std::string_view text, std::vector<Span>& matches) const {
  if (regex_) {
    std::string buffer;
    return regex_->find_all(with_stand_ins(text, buffer), matches);
  }
  matches.clear();
  if (string_.empty()) return;
  for (size_t at = text.find(string_); at != std::string_view::npos; at = text.find(string_, at + string_.size()))
    matches.push_back({at, at + string_.size()});
}

}  // namespace allreco::data
