// HTML whose texts cannot become markup: only the program's own literals are, and every argument that is a text goes
// through the one function that escapes.
#pragma once
#include <fmt/core.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace allreco::core {

/// Text in an element or in a quoted attribute: printable() on one line, and no character that HTML or XML reads.
std::string html_escaped(std::string_view text);
/// The same for a text whose line ends are kept.
std::string html_escaped_lines(std::string_view text);

/// A piece of HTML, well-formed as XML, too. It is made by html() and its like alone.
class Html {
 public:
  Html() = default;
  const std::string& code() const { return code_; }
  bool empty() const { return code_.empty(); }
  Html& operator+=(const Html& more) {
    code_ += more.code_;
    return *this;
  }

  /// The program's own markup, as it is.
  template <std::size_t N>
  static Html own(const char (&literal)[N]) {
    return Html(std::string(literal, N - 1));
  }
  /// A text of several lines, for <pre>.
  static Html lines(std::string_view text) { return Html(html_escaped_lines(text)); }

 private:
  explicit Html(std::string code) : code_(std::move(code)) {}
  template <class... Args>
  friend Html html(fmt::format_string<Args...> format, Args&&... args);
  std::string code_;
};

/// An argument of html() as it goes into the page.
template <class T>
auto as_html(const T& argument) {
  if constexpr (std::is_same_v<T, Html>) {
    return argument.code();
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return html_escaped(argument);
  } else {
    static_assert(std::is_arithmetic_v<T>, "texts, numbers and Html");
    return argument;
  }
}

/// fmt::format whose format is markup; texts among the arguments are escaped, Html stays what it is.
template <class... Args>
Html html(fmt::format_string<Args...> format, Args&&... args) {
  return Html([&format](const auto&... each) {
    return fmt::vformat(format, fmt::make_format_args(each...));
  }(as_html(args)...));
}

}  // namespace allreco::core

/// For the check of formats at compile time; as_html has made it a text before it is formatted.
template <>
struct fmt::formatter<allreco::core::Html> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const allreco::core::Html& value, Context& context) const {
    return fmt::formatter<std::string_view>::format(value.code(), context);
  }
};
