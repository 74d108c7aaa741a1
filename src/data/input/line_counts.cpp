#include "data/input/line_counts.h"

#include <utility>

#include "core/check.h"
#include "core/log.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

void LineCounts::reject(std::int64_t line, std::string reason) {
  ++malformed;
  if (first_malformed.size() < kNumBadLinesShown) first_malformed.push_back({line, std::move(reason)});
}

void LineCounts::append(const LineCounts& next_part) {
  for (const BadLine& bad : next_part.first_malformed) {
    if (first_malformed.size() == kNumBadLinesShown) break;
    first_malformed.push_back({total_lines + bad.line, bad.reason});
  }
  total_lines += next_part.total_lines;
  lines += next_part.lines;
  malformed += next_part.malformed;
}

void LineCounts::check_share(const fs::path& path, double max_bad_share) const {
  if (static_cast<double>(malformed) <= max_bad_share * static_cast<double>(lines)) return;
  core::user_error(
      "{}: {} of {} lines are malformed, more than max_bad_line_share = {}. The first is line {}: {}. Mend or download "
      "the file again, or raise max_bad_line_share",
      path.string(), malformed, lines, max_bad_share, first_malformed.front().line, first_malformed.front().reason);
}

void LineCounts::warn(const fs::path& path) const {
  for (const BadLine& bad : first_malformed)
    core::log_warning("{} line {} is skipped: {}", path.string(), bad.line, bad.reason);
}

Json LineCounts::report(const fs::path& path) const {
  Json bad = Json::array();
  for (const BadLine& line : first_malformed) bad.push_back({{"line", line.line}, {"reason", line.reason}});
  return {{"file", path.filename().string()},
          {"lines", lines},
          {"malformed", malformed},
          {"first_malformed", std::move(bad)}};
}

Json joined_reports(const std::vector<Json>& reports) {
  if (reports.size() == 1) return reports.front();
  std::int64_t lines = 0, malformed = 0;
  for (const Json& report : reports) {
    lines += report["lines"].get<std::int64_t>();
    malformed += report["malformed"].get<std::int64_t>();
  }
  return {{"files", reports}, {"lines", lines}, {"malformed", malformed}};
}

}  // namespace allreco::data
