#include "data/input/input_parts.h"

#include <algorithm>

#include "core/check.h"
#include "core/input_file.h"
#include "data/input/byte_source.h"

namespace allreco::data {
namespace fs = std::filesystem;

std::vector<fs::path> input_files(const std::string& list) {
  std::vector<fs::path> files;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const fs::path file = list.substr(begin, end - begin);
    if (file.empty()) core::user_error("`{}` has an empty entry: file,file,... is expected", list);
    for (const fs::path& other : files) {
      std::error_code missing;  // a file that is not there is the reader's to report
      if (file == other || fs::equivalent(file, other, missing))
        core::user_error("`{}` names the file {} twice: its rows would count twice", list, file.string());
    }
    files.push_back(file);
    begin = end + 1;
  }
  return files;
}

std::vector<InputPart> input_parts(const std::vector<fs::path>& files, std::uint64_t part_bytes) {
  core::require(part_bytes > 0, "a part needs bytes");
  std::vector<InputPart> parts;
  for (std::uint32_t input = 0; input < files.size(); ++input) {
    const core::InputFile file(files[input]);
    if (is_compressed(file) || file.size() == 0) {
      parts.push_back({files[input], input, 0, kWholeFile});
      continue;
    }
    for (std::uint64_t begin = 0; begin < file.size(); begin += part_bytes)
      parts.push_back({files[input], input, begin, std::min(begin + part_bytes, file.size())});
  }
  return parts;
}

}  // namespace allreco::data
