// LineSource: lines of a file, a pipe or a terminal, as many as there are without waiting.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace allreco::recommend {

struct Line {
  std::int64_t number = 0;   // from 1
  std::string text;          // without its end ("\n" or "\r\n")
  bool is_too_long = false;  // then only its beginning is here
};

class LineSource {
 public:
  /// `descriptor` stays the caller's. Lines with more than `longest` bytes are cut to that; memory is that of a line.
  LineSource(int descriptor, std::size_t longest) : descriptor_(descriptor), longest_(longest) {}

  /// Waits for a line; then takes those that are there, up to `most`. Empty: the end. The last line may lack its end.
  /// Fault when it cannot be read.
  std::vector<Line> next(std::size_t most);

 private:
  bool has_input() const;
  void read_some();
  void take_bytes(const char* bytes, std::size_t count);
  void end_line();

  int descriptor_;
  std::size_t longest_;
  Line line_;  // under way
  bool has_begun_ = false, has_ended_ = false;
  std::vector<Line> lines_;  // whole
  std::int64_t num_lines_ = 0;
};

}  // namespace allreco::recommend
