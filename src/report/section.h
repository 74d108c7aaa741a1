// The sections of a report: each has an id that stays, a part of the page, and tables for csv and JSON. One without
// data says in a sentence what is missing and which command makes it.
#pragma once
#include <string>
#include <vector>

#include "core/html.h"
#include "report/chart.h"
#include "report/data_groups.h"
#include "report/runs.h"
#include "report/table.h"

namespace allreco::report {

struct Section {
  std::string id, title;
  core::Html body = {};
  std::vector<Table> tables = {};  // for csv and JSON: the same ones in every report, if without rows

  /// On the page and in the files.
  void add(Table table) {
    body += html_of(table);
    tables.push_back(std::move(table));
  }
};

/// What a section says in place of its data.
core::Html missing(const std::string& what, const std::string& command);

inline constexpr const char* kEvaluateCommand =
    "allreco evaluate --model_name_or_path M --adapter_name_or_path OUT --dataset DS --output_dir EV";
inline constexpr const char* kRankCommand =
    "allreco evaluate --model_name_or_path M --adapter_name_or_path OUT --dataset DS --ranking exhaustive --output_dir "
    "EV";
inline constexpr const char* kTrainCommand = "allreco train --model_name_or_path M --dataset DS --output_dir OUT";

Section summary_section(const Runs& runs);
Section loss_section(const Runs& runs);
Section throughput_section(const Runs& runs);
Section memory_section(const Runs& runs);
Section accuracy_section(const std::vector<DataGroup>& groups);
Section slices_section(const std::vector<DataGroup>& groups);
Section calibration_section(const std::vector<DataGroup>& groups);
Section mistakes_section(const std::vector<DataGroup>& groups);
Section positions_section(const std::vector<DataGroup>& groups);
Section data_section(const Runs& runs, const std::vector<DataGroup>& groups);
/// `price_per_rank_hour` 0: no costs.
Section comparison_section(const Runs& runs, const std::vector<DataGroup>& groups, double price_per_rank_hour);
Section provenance_section(const Runs& runs);

}  // namespace allreco::report
