// Options of prepare by name, and those of a shipped file.
#pragma once
#include <sstream>
#include <string>

#include "core/check.h"
#include "core/files.h"
#include "data/prepare/prepare.h"

namespace allreco::data {

inline void set_option(PrepareConfig& config, const std::string& key, const std::string& value) {
  for (const core::OptionGroup& group : config.options()) {
    for (const core::Option& option : group.options) {
      if (option.name() == key) return option.set(value);
    }
  }
  core::require(false, "no option of prepare has a test's name");
}

/// `name`: of a file in configs/, lines `key = value`.
inline void set_shipped_options(PrepareConfig& config, const std::string& name) {
  std::istringstream lines(core::read_file(ALLRECO_SOURCE_DIR "/configs/" + name));
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = ");
    if (!line.starts_with("#")) set_option(config, line.substr(0, equals), line.substr(equals + 3));
  }
}

}  // namespace allreco::data
