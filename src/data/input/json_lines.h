// A file of one JSON object a line; malformed lines are counted, remembered with their numbers, and fatal only when
// there are many.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/json.h"
#include "data/input/line_counts.h"
#include "data/input/line_reader.h"

namespace allreco::data {

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
  std::int64_t num_lines() const { return counts_.lines; }  // without blank ones
  std::int64_t num_bad() const { return counts_.malformed; }
  /// LineCounts::report
  core::Json report() const { return counts_.report(reader_.path()); }

 private:
  LineReader reader_;
  double max_bad_share_;
  std::string line_;
  LineCounts counts_;
};

/// The text of a string field, or nullptr where the key is missing, null or no string.
const std::string* find_string(const core::Json& object, const char* key);

/// UserError for a file of another form, told by its first line that is not blank: its lines would only be malformed.
void require_json_lines(std::string_view first_line, const std::filesystem::path& path);

bool is_blank_line(std::string_view line);

/// LineCounts::check_share when the first 1000 lines have all been malformed: a file of another kind is not read on.
void give_up_hopeless(const LineCounts& counts, const std::filesystem::path& path, double max_bad_share);

/// "" and the object, or why the line holds none.
std::string parse_object(std::string_view line, core::Json& object);

}  // namespace allreco::data
