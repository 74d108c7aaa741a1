// JSON through nlohmann; objects keep the order in which keys were written.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// Generated once, in json_instances.cpp: a third of the time that a file with JSON takes to compile.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
namespace nlohmann::detail {
using TextIterator = iterator_input_adapter<std::string::const_iterator>;
extern template class lexer<ordered_json, TextIterator>;
extern template class parser<ordered_json, TextIterator>;
extern template class json_sax_dom_parser<ordered_json>;
extern template class json_sax_dom_callback_parser<ordered_json>;
extern template class serializer<ordered_json>;
}  // namespace nlohmann::detail

namespace allreco::core {

using Json = nlohmann::ordered_json;

inline constexpr std::uint64_t kLargestJsonFile = std::uint64_t{512} << 20;
inline constexpr int kMaxJsonDepth = 100;

/// Whether arrays and objects lie more than kMaxJsonDepth deep in each other: copying, comparing and writing such a
/// value recurses, and would run out of stack. To be asked before text from outside is parsed.
bool nests_too_deeply(std::string_view text);

/// Parses a whole text. UserError naming `source` (and the parser's position) when it is malformed or nests too deeply.
Json parse_json(std::string_view text, const std::string& source);

/// parse_json of a file; UserError when it is missing or larger than kLargestJsonFile, too.
Json read_json_file(const std::filesystem::path& path);

/// Pretty-prints with two spaces and a final newline, atomically (see write_file_atomically).
void write_json_file(const std::filesystem::path& path, const Json& value);

/// The value, if it is a whole number that T can hold: get<T>() would wrap or cut others in silence.
template <std::integral T, class AnyJson>
std::optional<T> whole_number(const AnyJson& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.template get<std::uint64_t>();
    return std::in_range<T>(number) ? std::optional(static_cast<T>(number)) : std::nullopt;
  }
  if (!value.is_number_integer()) return std::nullopt;
  const auto number = value.template get<std::int64_t>();
  return std::in_range<T>(number) ? std::optional(static_cast<T>(number)) : std::nullopt;
}

}  // namespace allreco::core
