#include "core/json.h"

#include "core/check.h"
#include "core/files.h"

namespace allreco::core {

Json read_json_file(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    user_error("{} is not valid JSON: {}", path.string(), e.what());
  }
}

void write_json_file(const std::filesystem::path& path, const Json& value) {
  write_file_atomically(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace allreco::core
