// PythonRegex: the regular expressions of PEFT's options, by PCRE2 (core/regex.h) where it means what Python's re
// means. What is written otherwise there, or means something else, is a UserError, never another meaning.
#pragma once
#include <optional>
#include <string>

#include "core/regex.h"

namespace allreco::model {

class PythonRegex {
 public:
  /// `option`: named in errors. UserError when `text` is malformed or beyond core::Regex's limits, or uses what the two
  /// understand differently.
  PythonRegex(const std::string& option, const std::string& text);

  /// re.fullmatch. UserError when the match takes too long.
  bool fullmatch(const std::string& subject) const { return regex_.matches_all(subject); }
  /// The last group of re.match; "" for one that took no part.
  std::optional<std::string> last_group(const std::string& subject) const;

 private:
  core::Regex regex_;
};

}  // namespace allreco::model
