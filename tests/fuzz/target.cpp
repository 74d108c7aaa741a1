#include "fuzz/target.h"

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "core/check.h"
#include "core/json.h"
#include "core/users_mistake.h"

namespace allreco::fuzz {
namespace fs = std::filesystem;

namespace {

/// What stands before `mark`; `text` becomes what stands behind it, or empty where there is none.
Input take_until(Input& text, std::string_view mark) {
  const size_t at = text.find(mark);
  const Input before = text.substr(0, at);
  text = at == Input::npos ? Input() : text.substr(at + mark.size());
  return before;
}

}  // namespace

const Target& find_target(std::string_view name) {
  std::string known;
  for (const Target& target : targets()) {
    if (target.name == name) return target;
    known += fmt::format(" {}", target.name);
  }
  core::user_error("there is no fuzz target {}; known are{}", name, known);
}

void run_target(const Target& target, Input input) {
  try {
    target.run(input);
  } catch (const std::exception& error) {
    if (!core::users_mistake(error)) throw;  // else the right answer to hostile bytes: exit code 2
  }
}

std::vector<Input> split(Input input, size_t count) {
  std::vector<Input> pieces;
  while (pieces.size() + 1 < count) pieces.push_back(take_until(input, "\n%%\n"));
  pieces.push_back(input);
  return pieces;
}

std::string as_safetensors(Input piece) {
  if (!piece.starts_with('{')) return std::string(piece);
  const Input header = take_until(piece, "\n==\n");
  const std::uint64_t size = header.size();
  std::string file(reinterpret_cast<const char*>(&size), sizeof(size));
  return file.append(header).append(piece);
}

bool is_utf8(Input text) {
  try {
    return !core::Json(text).dump().empty();
  } catch (const core::Json::type_error&) {
    return false;
  }
}

std::string with(Input text, std::string_view mark, std::string_view replacement) {
  std::string result(text);
  const size_t at = result.find(mark);
  return at == std::string::npos ? result : result.replace(at, mark.size(), replacement);
}

fs::path Directory::write(const std::string& name, std::string_view bytes) const {
  std::ofstream stream(*this / name, std::ios::binary);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  core::require(stream.good(), "cannot write the target's file");
  return *this / name;
}

}  // namespace allreco::fuzz
