// One line of comma-separated values (RFC 4180, without values that go over several lines).
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

/// Splits a line at the commas outside double quotes; one thread, and fast where nothing is quoted.
class CsvLine {
 public:
  /// "" or why the line is malformed: a quote that is never closed, text beside a quoted value, or more values than any
  /// row has. A quoted value holds `"` as `""`.
  std::string parse(std::string_view line);
  /// Valid as long as the line is, up to the next parse().
  const std::vector<std::string_view>& values() const { return values_; }

 private:
  std::string_view unquoted(std::string_view quoted);

  std::vector<std::string_view> values_;
  std::vector<std::string> unescaped_;  // values that held quotes
};

}  // namespace allreco::data
