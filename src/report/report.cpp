#include "report/report.h"

#include <algorithm>
#include <map>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "core/output_file.h"
#include "report/page.h"
#include "report/section.h"

namespace allreco::report {
namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;

std::vector<Section> sections_of(const Runs& runs, double price_per_rank_hour) {
  const std::vector<DataGroup> groups = data_groups(runs);
  return {summary_section(runs),     comparison_section(runs, groups, price_per_rank_hour),
          accuracy_section(groups),  slices_section(groups),
          mistakes_section(groups),  calibration_section(groups),
          positions_section(groups), data_section(runs, groups),
          loss_section(runs),        throughput_section(runs),
          memory_section(runs),      provenance_section(runs)};
}

core::Json document_of(const Runs& runs, const ReportConfig& config, const Surroundings& surroundings,
                       const std::vector<Section>& sections) {
  core::Json json{{"format", "allreco-report"},
                  {"format_version", kFormatVersion},
                  {"program_version", surroundings.program_version},
                  {"title", config.title}};
  json["runs"] = core::Json::array();
  for (const Run& run : runs.runs) json["runs"].push_back(run.label);
  json["tables"] = core::Json::object();
  for (const Section& section : sections)
    for (const Table& table : section.tables) json["tables"][table.id] = json_of(table);
  return json;
}

/// Beside the page; by name, so that one that is no longer written is found.
fs::path beside(const fs::path& page, const std::string& ending) {
  return page.parent_path() / (page.stem().string() + ending);
}

void check_output(const ReportConfig& config) {
  const fs::path page = config.output;
  if (page.extension() != ".html" || page.stem().empty())
    core::user_error("output = {}: the name of a page is expected, such as report.html", config.output);
}

void refuse_to_replace(const std::vector<fs::path>& files) {
  for (const fs::path& file : files)
    if (fs::exists(fs::symlink_status(file)))
      core::user_error("{} exists already: give another output, or replace it with overwrite_output = true",
                       file.string());
}

/// Names and contents, the page last: where it is, the others are, too.
std::vector<std::pair<fs::path, std::string>> files_of(const Runs& runs, const ReportConfig& config,
                                                       const Surroundings& surroundings) {
  const std::vector<Section> sections = sections_of(runs, config.price_per_rank_hour);
  const fs::path page = config.output;
  std::vector<std::pair<fs::path, std::string>> files;
  files.emplace_back(
      beside(page, ".json"),
      document_of(runs, config, surroundings, sections).dump(2, ' ', false, core::Json::error_handler_t::replace) +
          "\n");
  for (const Section& section : sections)
    for (const Table& table : section.tables) files.emplace_back(beside(page, "-" + table.id + ".csv"), csv_of(table));
  PageText text{config.title, surroundings.program_version, {}};
  for (const auto& [path, content] : files) text.files.push_back(path.filename().string());
  files.emplace_back(page, page_of(text, sections));
  return files;
}

}  // namespace

std::vector<fs::path> write_report(const ReportConfig& config, const Surroundings& surroundings) {
  check_output(config);
  if (!config.overwrite_output) refuse_to_replace({config.output});               // before anything is read
  const core::OutputFile page("output", config.output, config.overwrite_output);  // two reports would mix their tables
  const Runs runs = read_runs({config.runs.begin(), config.runs.end()}, surroundings.parse_options);
  const auto files = files_of(runs, config, surroundings);
  std::vector<fs::path> paths;
  for (const auto& [path, content] : files) paths.push_back(path);
  if (!config.overwrite_output) refuse_to_replace(paths);
  for (const auto& [path, content] : files) core::write_file_atomically(path, content);
  std::rotate(paths.begin(), paths.end() - 1, paths.end());
  return paths;
}

}  // namespace allreco::report
