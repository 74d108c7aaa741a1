// A file of one JSON object a line; malformed lines are counted, remembered with their numbers, and fatal only when
// there are many.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/line_reader.h"

namespace allreco::data {

struct BadLine {
  std::int64_t line = 0;  // 1-based
  std::string reason;
};

class JsonLines {
 public:
  /// `max_bad_share`: of the lines that are not blank. UserError when the file cannot be opened.
  JsonLines(const std::filesystem::path& path, double max_bad_share);

  /// The next line that holds a JSON object; false at the end. Blank lines are skipped. UserError when the file is
  /// damaged, when the first 1000 lines are all malformed, and at the end when more than the allowed share were.
  bool next(core::Json& object);
  /// Counts the line that next() returned last as malformed too: the caller could not use it.
  void reject(const std::string& reason);

  std::int64_t line_number() const { return reader_.line_number(); }
  std::int64_t num_lines() const { return num_lines_; }  // without blank ones
  std::int64_t num_bad() const { return num_bad_; }
  /// {file, lines, malformed, first_malformed: [{line, reason}]}, for dataset.json.
  core::Json report() const;

 private:
  void check_share() const;

  LineReader reader_;
  double max_bad_share_;
  std::string line_;
  std::int64_t num_lines_ = 0;
  std::int64_t num_bad_ = 0;
  std::vector<BadLine> first_bad_;
};

/// The text of a string field, or nullptr where the key is missing, null or no string.
const std::string* find_string(const core::Json& object, const char* key);

}  // namespace allreco::data
