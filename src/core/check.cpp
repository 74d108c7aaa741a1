#include "core/check.h"

#include <string_view>

namespace allreco::core {
namespace {

std::string_view relative_to_src(std::string_view file) {
  constexpr std::string_view kSources = "/src/";
  const size_t found = file.rfind(kSources);
  return found == std::string_view::npos ? file : file.substr(found + kSources.size());
}

}  // namespace

std::string with_place(const std::string& text, SourceLine place) {
  return fmt::format("{} [{}:{}]", text, relative_to_src(place.file), place.line);
}

void require(bool condition, const char* message, SourceLine place) {
  if (!condition) throw Fault(with_place(message, place));
}

}  // namespace allreco::core
