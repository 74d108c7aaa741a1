// The lines of gzip and zstd data of several members or frames, however it is cut or followed by something else.
#include "core/check.h"
#include "data/input/line_reader.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void compressed(Input input) {
  const Directory directory;
  data::LineReader reader(directory.write("lines", input));
  std::int64_t num_lines = 0;
  for (std::string_view line; reader.next(line);) {
    core::require(line.find('\n') == std::string_view::npos, "a line holds no end of line");
    core::require(reader.line_number() == ++num_lines, "lines are counted");
    if (num_lines == 1'000'000) return;  // a few bytes can hold a billion of them
  }
}

}  // namespace allreco::fuzz
