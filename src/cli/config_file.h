// Config files: `key = value` lines, docs/formats.md. What config_line writes, parse_config reads back as it was.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace allreco::cli {

struct ConfigEntry {
  std::string key, value;
  size_t line = 0;  // from 1
};

/// `where` names the file. UserError for a line that is none of `key = value`, blank or a comment, for a key that is
/// there twice, and for a text in UTF-16.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& where);

/// One line with its newline; the value is quoted where it must be.
std::string config_line(const std::string& key, const std::string& value);

}  // namespace allreco::cli
