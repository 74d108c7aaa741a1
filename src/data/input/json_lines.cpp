#include "data/input/json_lines.h"

#include <algorithm>

#include "core/check.h"
#include "core/json_parse.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

std::string why_not_json(std::string_view line, const Json::exception& error) {
  // The 2014 files hold Python's notation, which looks like JSON at first sight.
  if (line.starts_with("{'")) return "not JSON but a Python literal, as in the 2014 files; the 2018 files are JSON";
  std::string reason =
      error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 7: syntax error ..."
  constexpr std::string_view noise = "line 1, ";
  const size_t start = reason.find(noise);
  return start == std::string::npos ? reason : "no JSON at " + reason.substr(start + noise.size());
}

}  // namespace

void require_json_lines(std::string_view first_line, const fs::path& path) {
  const std::string_view text = first_line.substr(first_line.find_first_not_of(" \t"));
  if (text.starts_with('['))
    core::user_error("{} is one JSON array; prepare reads JSON lines, one object a line: jq -c '.[]' makes them",
                     path.string());
  if (text == "{")
    core::user_error("{} spreads an object over several lines; prepare reads one a line: jq -c . makes them",
                     path.string());
  if (!text.starts_with('{') && std::count(text.begin(), text.end(), ',') >= 2)
    core::user_error("{} looks like csv; prepare reads JSON lines, one object a line", path.string());
}

std::string parse_object(std::string_view line, Json& object) {
  if (core::nests_too_deeply(line)) return "nests too deeply";
  try {
    object = core::parsed(line);
    return object.is_object() ? "" : "not a JSON object";
  } catch (const Json::exception& error) {
    return why_not_json(line, error);
  }
}

bool is_blank_line(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

void give_up_hopeless(const LineCounts& counts, const fs::path& path, double max_bad_share) {
  constexpr std::int64_t kHopelessLines = 1000;
  if (counts.lines >= kHopelessLines && counts.malformed == counts.lines) counts.check_share(path, max_bad_share);
}

}  // namespace allreco::data
