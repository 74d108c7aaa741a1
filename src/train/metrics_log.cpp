#include "train/metrics_log.h"

#include <sstream>

#include "core/check.h"
#include "core/files.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

bool belongs_before(const std::string& line, std::int64_t last_step) {
  const core::Json value = core::Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return value.is_object() && value.contains("step") && value["step"].is_number_integer() &&
         value["step"].get<std::int64_t>() <= last_step;
}

std::string lines_to_keep(const fs::path& path, std::int64_t last_step) {
  if (last_step < 0 || !fs::exists(path)) return {};
  std::istringstream lines(core::read_file(path));
  std::string kept, line;
  while (std::getline(lines, line)) {
    if (belongs_before(line, last_step)) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(fs::path path, std::int64_t last_step) : path_(std::move(path)) {
  core::write_file_atomically(path_, lines_to_keep(path_, last_step));
  stream_.open(path_, std::ios::binary | std::ios::app);
  if (!stream_) core::user_error("cannot write {}: check the directory's permissions", path_.string());
}

void MetricsLog::append(const core::Json& line) {
  stream_ << line.dump() << '\n' << std::flush;
  if (!stream_) core::user_error("cannot write {}: is the disk full? Free some space and resume", path_.string());
}

}  // namespace allreco::train
