#include "data/prepare/json_lines.h"

#include <algorithm>
#include <string_view>

#include "core/check.h"
#include "core/json_parse.h"
#include "core/log.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr size_t kNumBadLinesShown = 10;
constexpr std::int64_t kHopelessLines = 1000;

std::string why_not_json(const std::string& line, const Json::exception& error) {
  // The 2014 files hold Python's notation, which looks like JSON at first sight.
  if (line.starts_with("{'")) return "not JSON but a Python literal, as in the 2014 files; the 2018 files are JSON";
  std::string reason =
      error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 7: syntax error ..."
  constexpr std::string_view noise = "line 1, ";
  const size_t start = reason.find(noise);
  return start == std::string::npos ? reason : "no JSON at " + reason.substr(start + noise.size());
}

/// Files of another form would only be a series of malformed lines.
void check_first_line(const std::string& line, const fs::path& path) {
  const size_t begin = line.find_first_not_of(" \t");
  const std::string_view text = std::string_view(line).substr(begin);
  if (text.starts_with('['))
    core::user_error("{} is one JSON array; prepare reads JSON lines, one object a line: jq -c '.[]' makes them",
                     path.string());
  if (text == "{")
    core::user_error("{} spreads an object over several lines; prepare reads one a line: jq -c . makes them",
                     path.string());
  if (!text.starts_with('{') && std::count(text.begin(), text.end(), ',') >= 2)
    core::user_error("{} looks like csv; prepare reads JSON lines, one object a line", path.string());
}

}  // namespace

JsonLines::JsonLines(const fs::path& path, double max_bad_share) : reader_(path), max_bad_share_(max_bad_share) {}

bool JsonLines::next(Json& object) {
  while (reader_.next(line_)) {
    if (line_.find_first_not_of(" \t") == std::string::npos) continue;
    if (++num_lines_ == 1) check_first_line(line_, reader_.path());
    if (core::nests_too_deeply(line_)) {
      reject("nests too deeply");
      continue;
    }
    try {
      object = core::parsed(line_);
      if (object.is_object()) return true;
      reject("not a JSON object");
    } catch (const Json::exception& error) {
      reject(why_not_json(line_, error));
    }
  }
  check_share();
  return false;
}

void JsonLines::reject(const std::string& reason) {
  ++num_bad_;
  if (first_bad_.size() < kNumBadLinesShown) {
    first_bad_.push_back({line_number(), reason});
    core::log_warning("{} line {} is skipped: {}", reader_.path().string(), line_number(), reason);
  }
  if (num_bad_ == kHopelessLines && num_lines_ == kHopelessLines) check_share();
}

void JsonLines::check_share() const {
  if (static_cast<double>(num_bad_) <= max_bad_share_ * static_cast<double>(num_lines_)) return;
  core::user_error(
      "{}: {} of {} lines are malformed, more than max_bad_line_share = {}. The first is line {}: {}. Mend or download "
      "the "
      "file again, or raise max_bad_line_share",
      reader_.path().string(), num_bad_, num_lines_, max_bad_share_, first_bad_.front().line,
      first_bad_.front().reason);
}

Json JsonLines::report() const {
  Json bad = Json::array();
  for (const BadLine& line : first_bad_) bad.push_back({{"line", line.line}, {"reason", line.reason}});
  return {{"file", reader_.path().filename().string()},
          {"lines", num_lines_},
          {"malformed", num_bad_},
          {"first_malformed", std::move(bad)}};
}

const std::string* find_string(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get_ptr<const std::string*>() : nullptr;
}

}  // namespace allreco::data
