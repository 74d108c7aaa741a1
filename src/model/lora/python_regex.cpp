#include "model/lora/python_regex.h"

#include <array>
#include <string_view>

#include "core/check.h"

namespace allreco::model {
using core::user_error;

namespace {

/// std::regex takes an escaped letter that it does not know for the letter itself.
void check_escapes(const std::string& option, const std::string& text) {
  constexpr std::string_view kSame = "dDwWsSbB";
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] != '\\') continue;
    const char c = text[++i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter && kSame.find(c) == std::string_view::npos) {
      user_error("{} = {}: \\{} is not supported in a regular expression here", option, text, c);
    }
  }
}

void check_constructs(const std::string& option, const std::string& text) {
  constexpr std::array<std::string_view, 5> kDifferent{"[:", "[.", "[=", "[]", "[^]"};
  for (const std::string_view different : kDifferent) {
    if (text.find(different) != std::string::npos) {
      user_error("{} = {}: {} is not supported in a regular expression here", option, text, different);
    }
  }
}

std::regex compile(const std::string& option, const std::string& text) {
  check_escapes(option, text);
  check_constructs(option, text);
  try {
    return std::regex(text, std::regex::ECMAScript);
  } catch (const std::regex_error& e) {
    user_error("{} = {} is not a regular expression that is supported here: {}", option, text, e.what());
  }
}

}  // namespace

PythonRegex::PythonRegex(const std::string& option, const std::string& text) : regex_(compile(option, text)) {}

std::optional<std::string> PythonRegex::last_group(const std::string& subject) const {
  std::smatch match;
  if (!std::regex_search(subject, match, regex_, std::regex_constants::match_continuous)) return std::nullopt;
  return match[match.size() - 1].str();
}

}  // namespace allreco::model
