// The files of configs/templates, compiled in: the program works from any directory.
#pragma once
#include <span>
#include <string_view>

namespace allreco::data {

struct BuiltinTemplate {
  std::string_view name;  // the file's name without .json
  std::string_view text;
};

/// Defined in a file that CMake writes (src/data/CMakeLists.txt).
std::span<const BuiltinTemplate> builtin_templates();

}  // namespace allreco::data
