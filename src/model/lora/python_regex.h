// PythonRegex: the regular expressions of PEFT's options, by std::regex (ECMAScript) where both languages agree. What
// is written otherwise there is a UserError, never another meaning.
#pragma once
#include <optional>
#include <regex>
#include <string>

namespace allreco::model {

class PythonRegex {
 public:
  /// `option`: named in the error. UserError when `text` is malformed, or uses what only Python knows.
  PythonRegex(const std::string& option, const std::string& text);

  /// re.fullmatch
  bool fullmatch(const std::string& subject) const { return std::regex_match(subject, regex_); }
  /// The last group of re.match.
  std::optional<std::string> last_group(const std::string& subject) const;

 private:
  std::regex regex_;
};

}  // namespace allreco::model
