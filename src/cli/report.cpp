// report: directories of runs in, one page and its tables out.
#include "report/report.h"

#include <algorithm>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "core/check.h"
#include "core/log.h"

namespace allreco::cli {

namespace {

core::Named<std::string> options_of(const std::string& text, const std::string& where) {
  core::Named<std::string> options;
  for (const ConfigEntry& entry : parse_config(text, where)) options.emplace_back(entry.key, entry.value);
  return options;
}

}  // namespace

int report_command(dist::Session& session, const Arguments& arguments) {
  report::ReportConfig config;
  RuntimeOptions runtime;
  OptionList list("allreco report RUN...",
                  "Shows what training and evaluation left behind on one page that needs no network: loss, speed, "
                  "accuracy beside baselines, errors, calibration, provenance; several runs side by side.",
                  {config.options(), runtime.options()});
  const auto first_option = std::find_if(arguments.begin(), arguments.end(),
                                         [](const std::string& argument) { return argument.starts_with("-"); });
  if (!parse_or_help(list, {first_option, arguments.end()}, session)) return kExitDone;
  config.runs.insert(config.runs.begin(), arguments.begin(), first_option);
  require_one_rank(session, "report");
  apply(runtime, session);
  require_option("output", config.output);
  if (config.runs.empty())
    core::user_error("nothing to report on: give the output_dir of `allreco train` or `allreco evaluate`, or several");
  core::check_options(config);
  const auto files = report::write_report(config, {&options_of, ALLRECO_VERSION});
  core::log_info("wrote {}, and {} files of tables beside it", files.front().string(), files.size() - 1);
  return kExitDone;
}

}  // namespace allreco::cli
