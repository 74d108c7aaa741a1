#include "train/metrics_log.h"

#include <sstream>

#include "core/files.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

bool belongs_before(const std::string& line, std::int64_t last_step) {
  if (core::nests_too_deeply(line)) return false;
  const core::Json value = core::Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object() || !value.contains("step")) return false;
  const auto step = core::whole_number<std::int64_t>(value["step"]);
  return step && *step <= last_step;
}

std::string lines_to_keep(const fs::path& path, std::int64_t last_step) {
  if (last_step < 0 || !fs::exists(path)) return {};
  std::istringstream lines(core::read_file(path, UINT64_MAX));
  std::string kept, line;
  while (std::getline(lines, line)) {
    if (belongs_before(line, last_step)) kept += line + "\n";
  }
  return kept;
}

/// The path, after the file has been cut to these lines.
const fs::path& with_lines_up_to(const fs::path& path, std::int64_t last_step) {
  core::write_file_atomically(path, lines_to_keep(path, last_step));
  return path;
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& path, std::int64_t last_step) : file_(with_lines_up_to(path, last_step)) {}

bool MetricsLog::append(const core::Json& line) {
  file_.add(line.dump() + '\n');
  return file_.flush();
}

}  // namespace allreco::train
