// The directories that a report is of: metrics.jsonl, train_results.json, config.cfg, last/trainer_state.json,
// evaluation.json and predictions.jsonl of one directory.
#include "report/report.h"

#include "cli/config_file.h"
#include "fuzz/target.h"

namespace allreco::fuzz {
namespace {

core::Named<std::string> options_of(const std::string& text, const std::string& where) {
  core::Named<std::string> options;
  for (const cli::ConfigEntry& entry : cli::parse_config(text, where)) options.emplace_back(entry.key, entry.value);
  return options;
}

}  // namespace

void report(Input input) {
  const Directory directory;
  std::filesystem::create_directories(directory / "RUN/last");
  constexpr const char* kFiles[] = {"metrics.jsonl",   "train_results.json", "config.cfg",
                                    "evaluation.json", "predictions.jsonl",  "last/trainer_state.json"};
  const std::vector<Input> pieces = split(input, std::size(kFiles));
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (!pieces[i].empty()) directory.write(std::string("RUN/") + kFiles[i], std::string(pieces[i]) + "\n");
  report::ReportConfig config{.runs = {directory / "RUN"}, .output = directory / "report.html"};
  report::write_report(config, {&options_of, "0"});
}

}  // namespace allreco::fuzz
