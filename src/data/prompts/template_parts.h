// The grammar of a template's fields: {lower_case_name} stands for a part, other braces are text.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace allreco::data {

/// The part named at text[at] == '{', or "" where no {lower_case_name} stands.
inline std::string_view part_at(std::string_view text, size_t at) {
  const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
  const bool is_part = end != std::string_view::npos && text[end] == '}' && end > at + 1;
  return is_part ? text.substr(at + 1, end - at - 1) : std::string_view();
}

inline bool has_part(std::string_view text, std::string_view part) {
  return text.find(fmt::format("{{{}}}", part)) != std::string_view::npos;
}

/// Copies `text` with every part replaced by value_of(part), in one pass.
inline std::string fill_in(std::string_view text, const std::function<std::string_view(std::string_view)>& value_of) {
  std::string filled;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view part = text[i] == '{' ? part_at(text, i) : std::string_view();
    if (part.empty()) {
      filled += text[i];
    } else {
      filled += value_of(part);
      i += part.size() + 1;
    }
  }
  return filled;
}

}  // namespace allreco::data
