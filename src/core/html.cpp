#include "core/html.h"

#include "core/text.h"

namespace allreco::core {
namespace {

/// `shown`: printable.
std::string without_markup(const std::string& shown) {
  std::string escaped;
  escaped.reserve(shown.size());
  for (const char c : shown) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string html_escaped(std::string_view text) { return without_markup(printable(text)); }

std::string html_escaped_lines(std::string_view text) { return without_markup(printable_lines(text)); }

}  // namespace allreco::core
