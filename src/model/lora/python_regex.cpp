#include "model/lora/python_regex.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/check.h"

namespace allreco::model {
using core::user_error;

namespace {

/// Escaped letters that mean the same to both. Not among them: \A and \Z, the latter the very end to
/// Python alone; \N, \p, \h, \K and others,
/// which only PCRE2 has; \u, which only Python has; \x, whose digits are counted differently.
constexpr std::string_view kSameEscapes = "dDwWsSbBafnrt";
/// What may follow "(?". Not among them: flags such as (?x) and (?L), which differ; (?<name>, (?R, (?|, (?&, which only
/// PCRE2 has; conditions.
constexpr std::array<std::string_view, 8> kSameGroups{":", "=", "!", "<=", "<!", "P<", "P=", "i:"};

class Checker {
 public:
  Checker(const std::string& option, const std::string& text) : option_(option), text_(text) {}

  void run() const {
    bool in_class = false;
    for (size_t i = 0; i < text_.size(); ++i) {
      const std::string_view rest = std::string_view(text_).substr(i);
      if (rest.front() == '\\') {
        check_escape(rest);
        ++i;
      } else if (in_class) {
        in_class = rest.front() != ']';
        for (const char* posix : {"[:", "[.", "[="}) refuse_if(rest.starts_with(posix), posix);
      } else if (rest.front() == '[') {
        in_class = true;
        i += rest.starts_with("[^") ? 1 : 0;
        if (text_.compare(i + 1, 1, "]") == 0) ++i;  // the first one stands for itself, to both
      } else {
        check_group(rest);
        refuse_if(rest.starts_with("{,"), "{,");  // from 0 times to Python; itself to PCRE2
      }
    }
  }

 private:
  void refuse_if(bool differs, std::string_view what) const {
    if (differs) user_error("{} = {}: {} is not supported in a regular expression here", option_, text_, what);
  }

  void check_escape(std::string_view rest) const {
    const char c = rest.size() > 1 ? rest[1] : '\\';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    refuse_if(letter && kSameEscapes.find(c) == std::string_view::npos, rest.substr(0, 2));
    // Beyond \9 PCRE2 may take it for a character in octal.
    const bool digit = c >= '0' && c <= '9', two = rest.size() > 2 && rest[2] >= '0' && rest[2] <= '9';
    refuse_if(digit && (c == '0' || two), rest.substr(0, two ? 3 : 2));
  }

  void check_group(std::string_view rest) const {
    refuse_if(rest.starts_with("(*"), "(*");  // PCRE2's verbs
    if (!rest.starts_with("(?")) return;
    const bool same = std::any_of(kSameGroups.begin(), kSameGroups.end(),
                                  [&](std::string_view group) { return rest.substr(2).starts_with(group); });
    refuse_if(!same, rest.substr(0, std::min<size_t>(3, rest.size())));
  }

  const std::string& option_;
  const std::string& text_;
};

const std::string& checked(const std::string& option, const std::string& text) {
  Checker(option, text).run();
  return text;
}

}  // namespace

PythonRegex::PythonRegex(const std::string& option, const std::string& text)
    : regex_(option + " = " + (text.size() > 200 ? text.substr(0, 200) + "..." : text), checked(option, text)) {}

std::optional<std::string> PythonRegex::last_group(const std::string& subject) const {
  const auto groups = regex_.match_prefix(subject);
  if (!groups) return std::nullopt;
  const auto& last = groups->back();
  return last ? subject.substr(last->begin, last->end - last->begin) : "";
}

}  // namespace allreco::model
