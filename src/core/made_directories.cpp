#include "core/made_directories.h"

#include <algorithm>

#include "core/files.h"

namespace allreco::core {
namespace fs = std::filesystem;

MadeDirectories::MadeDirectories(const fs::path& directory) {
  std::vector<fs::path> missing;
  std::error_code error;
  const fs::path whole = fs::absolute(directory).lexically_normal();
  for (fs::path p = whole.has_filename() ? whole : whole.parent_path(); !fs::exists(p, error) && p.has_relative_path();
       p = p.parent_path())
    missing.push_back(p);
  std::reverse(missing.begin(), missing.end());
  try {
    for (const fs::path& p : missing) {
      make_directory(p);
      made_.push_back(p);
    }
    if (missing.empty()) make_directory(whole);  // for its refusal where a file has the name
  } catch (...) {
    remove_empty();
    throw;
  }
}

MadeDirectories::~MadeDirectories() { remove_empty(); }

void MadeDirectories::remove_empty() noexcept {
  std::error_code ignored;  // not empty: it came about
  for (auto p = made_.rbegin(); p != made_.rend(); ++p) fs::remove(*p, ignored);
}

}  // namespace allreco::core
