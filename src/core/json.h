// JSON through nlohmann; objects keep the order in which keys were written.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace allreco::core {

using Json = nlohmann::ordered_json;

/// Parses a whole file. UserError naming the file (and the parser's position) when it is missing or malformed.
Json read_json_file(const std::filesystem::path& path);

/// Pretty-prints with two spaces and a final newline, atomically (see write_file_atomically).
void write_json_file(const std::filesystem::path& path, const Json& value);

}  // namespace allreco::core
