#include "core/json.h"

#include "core/check.h"
#include "core/files.h"
#include "core/json_parse.h"

namespace allreco::core {

bool nests_too_deeply(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      if (++depth > kMaxJsonDepth) return true;
    } else if (!in_string && (c == ']' || c == '}')) {
      --depth;
    }
  }
  return false;
}

Json parse_json(std::string_view text, const std::string& source) {
  if (nests_too_deeply(text)) {
    user_error("{} is not read: its arrays and objects lie more than {} deep in each other", source, kMaxJsonDepth);
  }
  try {
    return parsed(text);
  } catch (const Json::exception& e) {
    user_error("{} is not valid JSON: {}", source, e.what());
  }
}

Json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path, kLargestJsonFile), path.string());
}

void write_json_file(const std::filesystem::path& path, const Json& value) {
  write_file_atomically(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace allreco::core
