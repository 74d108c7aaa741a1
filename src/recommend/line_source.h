// LineSource: lines of a file, a pipe or a terminal, as many as there are without waiting.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace allreco::recommend {

struct Line {
  std::int64_t number = 0;   // from 1
  std::string text;          // without its end ("\n" or "\r\n")
  bool is_too_long = false;  // then only its beginning is here
};

struct LineInput {
  int descriptor = -1;
  std::string name;  // in messages
};

class LineSource {
 public:
  /// The descriptor stays the caller's. Lines with more than `longest` bytes are cut to that; memory is that of a line.
  LineSource(LineInput input, std::size_t longest) : input_(std::move(input)), longest_(longest) {}

  /// Waits for a line; then takes those that are there, up to `most`. Empty: the end. The last line may lack its end.
  /// UserError naming the input when it cannot be read.
  std::vector<Line> next(std::size_t most);

 private:
  bool has_input() const;
  void read_some();
  void take_bytes(const char* bytes, std::size_t count);
  void end_line();

  LineInput input_;
  std::size_t longest_;
  Line line_;  // under way
  bool has_begun_ = false, has_ended_ = false;
  std::vector<Line> lines_;  // whole
  std::int64_t num_lines_ = 0;
};

}  // namespace allreco::recommend
