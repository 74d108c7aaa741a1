// What Replace and Split look for: a string or a regular expression.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/regex.h"
#include "data/tokenizer/json_fields.h"

namespace allreco::data {

class Pattern {
 public:
  using Span = core::Regex::Span;

  /// `fields`: {"String": text} or {"Regex": text}, in the grammar of Oniguruma. UserError for a construct that PCRE2
  /// reads otherwise.
  Pattern(const Fields& fields, const std::string& where);
  static Pattern regex(const std::string& pattern, const std::string& where);

  /// Sets `matches` to all of them from left to right. Thread-safe. REQUIRES valid UTF-8.
  void find(std::string_view text, std::vector<Span>& matches) const;

 private:
  Pattern() = default;

  std::string string_;
  std::optional<core::Regex> regex_;
};

}  // namespace allreco::data
