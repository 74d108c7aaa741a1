#include "data/input/csv.h"

#include <fmt/format.h>

#include <algorithm>

namespace allreco::data {

namespace {

constexpr size_t kMostValues = 1000;  // rows of reviews have four or five

/// The closing quote of the value that `text` begins with, or npos. text[0] is its opening quote.
size_t closing_quote(std::string_view text) {
  for (size_t at = text.find('"', 1); at != std::string_view::npos; at = text.find('"', at + 2))
    if (at + 1 == text.size() || text[at + 1] != '"') return at;
  return std::string_view::npos;
}

std::string without_doubled_quotes(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    plain += text[i];
    if (text[i] == '"') ++i;
  }
  return plain;
}

}  // namespace

std::string CsvLine::parse(std::string_view line) {
  values_.clear();
  unescaped_.clear();
  // Their addresses are handed out: room for all of them at once.
  unescaped_.reserve(std::min(kMostValues, static_cast<size_t>(std::count(line.begin(), line.end(), '"')) / 2));
  for (std::string_view rest = line;; rest.remove_prefix(1)) {
    if (values_.size() == kMostValues) return fmt::format("it has more than {} values", kMostValues);
    size_t size = std::min(rest.find(','), rest.size());
    if (rest.starts_with('"')) {
      const size_t close = closing_quote(rest);
      if (close == std::string_view::npos) return "a quote is not closed in this line";
      size = close + 1;
      if (size < rest.size() && rest[size] != ',') return "text follows a quoted value";
      values_.push_back(unquoted(rest.substr(1, close - 1)));
    } else {
      values_.push_back(rest.substr(0, size));
    }
    rest.remove_prefix(size);
    if (rest.empty()) return "";
  }
}

std::string_view CsvLine::unquoted(std::string_view quoted) {
  if (quoted.find('"') == std::string_view::npos) return quoted;
  return unescaped_.emplace_back(without_doubled_quotes(quoted));
}

}  // namespace allreco::data
