// How many lines of a file were read, how many of them were malformed, and why.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::data {

struct BadLine {
  std::int64_t line = 0;  // 1-based, within what was counted
  std::string reason;
};

/// Of one part of a file, or of the whole after append(). Plain data: three integers and a short list.
struct LineCounts {
  static constexpr size_t kNumBadLinesShown = 10;

  std::int64_t total_lines = 0;  // blank ones too
  std::int64_t lines = 0;        // without blank ones
  std::int64_t malformed = 0;
  std::vector<BadLine> first_malformed;  // at most kNumBadLinesShown, in order

  /// Counts a malformed line; its line must be in `lines` already.
  void reject(std::int64_t line, std::string reason);
  /// Adds the counts of the part that follows in the same file: appended in the order of parts, line numbers become
  /// those of the file.
  void append(const LineCounts& next_part);

  /// UserError when more than `max_bad_share` of the lines are malformed. For whole files.
  void check_share(const std::filesystem::path& path, double max_bad_share) const;
  /// A warning for each of the first malformed lines.
  void warn(const std::filesystem::path& path) const;
  /// {file, lines, malformed, first_malformed: [{line, reason}]}, for dataset.json.
  core::Json report(const std::filesystem::path& path) const;
};

/// The one file's report, or {files: [reports], lines, malformed} of several.
core::Json joined_reports(const std::vector<core::Json>& reports);

}  // namespace allreco::data
