// Files that tests read and write.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

namespace allreco::train {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(ALLRECO_SOURCE_DIR) / "tests" / "fixtures" / name;
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace allreco::train
