// Text from outside (files, titles, names, paths, the environment, other libraries' messages) stays text wherever it is
// shown: it cannot move a cursor, turn the direction of reading, start a line, or become markup.
#pragma once
#include <fmt/core.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace allreco::core {

/// For terminals and logs: one line. Controls (C0, C1, DEL), line ends, bidirectional controls and bytes that are no
/// UTF-8 become \n, \x1b, \u202e. printable(printable(x)) = printable(x).
std::string printable(std::string_view text);
/// The same for a text whose line ends are the program's own.
std::string printable_lines(std::string_view text);
/// A YAML scalar in double quotes.
std::string yaml_quoted(std::string_view text);
/// Text in a line of Markdown: no emphasis, link, code or HTML.
std::string markdown_escaped(std::string_view text);
/// A fenced block of Markdown that nothing in `lines` can end.
std::string markdown_code_block(std::string_view lines);

/// An argument of a message as the message shows it.
template <class T>
auto shown(const T& argument) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return printable(argument);
  } else {
    return argument;
  }
}

/// What errors and log lines are made with: fmt::format with texts made printable, so that only the program's own
/// format can hold a line end.
template <class... Args>
std::string message(fmt::format_string<Args...> format, Args&&... args) {
  return
      [&format](const auto&... each) { return fmt::vformat(format, fmt::make_format_args(each...)); }(shown(args)...);
}

}  // namespace allreco::core
