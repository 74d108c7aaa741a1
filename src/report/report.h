// report: what training and evaluation left behind, on one page, and its tables as csv and JSON.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/options.h"
#include "report/training.h"

namespace allreco::report {

struct ReportConfig {
  std::vector<std::string> runs;
  std::string output;
  bool overwrite_output = false;
  std::string title = "allreco report";
  double price_per_rank_hour = 0;

  core::OptionGroups options() {
    return {{"Report",
             {{"runs", runs,
               "Directories that `allreco train` or `allreco evaluate` wrote; also the first arguments, which may hold "
               "commas."},
              {"output", output, "The page, NAME.html; NAME.json and NAME-TABLE.csv are written beside it."},
              {"overwrite_output", overwrite_output, "Replace a report of that name."},
              {"title", title, "Of the page."},
              {"price_per_rank_hour", price_per_rank_hour, core::between(0, 1e9),
               "What one rank costs in an hour, in any currency: the page then shows what training cost; 0: not."}}}};
  }
};

/// What the program knows and this folder does not.
struct Surroundings {
  ParseOptions parse_options;  // of config.cfg
  std::string program_version;
};

/// The files that were written, the page first. UserError for what read_runs refuses, an output that is not NAME.html,
/// and one that exists already unless it is to be replaced. Each file appears whole, the page last.
std::vector<std::filesystem::path> write_report(const ReportConfig& config, const Surroundings& surroundings);

}  // namespace allreco::report
