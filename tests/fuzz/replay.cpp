// replay_corpus NAME DIRECTORY: runs the target on every file there, in an ordinary build. What no fuzzer is needed
// for: that the findings which were mended stay so. Exit code 0 when each ended well or with a UserError.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <vector>

#include "core/check.h"
#include "core/files.h"
#include "core/log.h"
#include "fuzz/target.h"

namespace {
namespace fs = std::filesystem;

std::vector<fs::path> files_of(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

int replay(const allreco::fuzz::Target& target, const fs::path& directory) {
  int findings = 0;
  const std::vector<fs::path> files = files_of(directory);
  for (const fs::path& file : files) {
    std::fprintf(stderr, "%s\n", file.filename().c_str());  // the last one named is the one that crashed
    try {
      allreco::fuzz::run_target(target, allreco::core::read_file(file));
    } catch (const std::exception& e) {
      std::fprintf(stderr, "  is answered with what is no UserError: %s\n", e.what());
      ++findings;
    }
  }
  std::printf("%zu inputs, %d findings\n", files.size(), findings);
  return findings > 0 || files.empty() ? 1 : 0;  // nothing tried is no success
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: replay_corpus NAME DIRECTORY\n", stderr);
    return 2;
  }
  try {
    allreco::core::set_up_log(0, 1, "error");
    return replay(allreco::fuzz::find_target(argv[1]), argv[2]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
