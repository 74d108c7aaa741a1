// A training run as its output directory tells it (docs/formats.md, Output directory of `train`).
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fields.h"

namespace allreco::report {

/// A line of metrics.jsonl about steps.
struct LoggedStep {
  std::int64_t step = 0;
  double epoch = 0;
  std::optional<double> loss = {}, grad_norm = {}, learning_rate = {};
  std::optional<std::int64_t> num_steps = {};  // since the line before; older versions did not write it
  std::optional<double> tokens = {}, supervised_tokens = {}, tokens_per_second = {};  // since the line before
  std::optional<double> step_ms = {}, compute_ms = {}, communication_exposed_ms = {}, data_wait_ms = {};
  std::optional<double> peak_rss_bytes = {}, peak_gpu_bytes = {};

  template <class Archive>
  void fields(Archive& a) {
    a("step", step);
    a("epoch", epoch);
    a("loss", loss);
    a("grad_norm", grad_norm);
    a("learning_rate", learning_rate);
    a("num_steps", num_steps);
    a("tokens", tokens);
    a("supervised_tokens", supervised_tokens);
    a("tokens_per_second", tokens_per_second);
    a("step_ms", step_ms);
    a("compute_ms", compute_ms);
    a("communication_exposed_ms", communication_exposed_ms);
    a("data_wait_ms", data_wait_ms);
    a("peak_rss_bytes", peak_rss_bytes);
    a("peak_gpu_bytes", peak_gpu_bytes);
  }
};

/// A line of metrics.jsonl about an evaluation.
struct LoggedEvaluation {
  std::int64_t step = 0;
  double epoch = 0;
  std::optional<double> loss = {}, perplexity = {}, runtime_ms = {};
  core::Named<double> others = {};  // accuracy, ndcg@10, ...
};

/// train_results.json, which a run writes at its end.
struct TrainResults {
  std::int64_t global_step = 0;
  double epoch = 0;
  std::int64_t samples_consumed = 0, skipped_steps = 0, failed_saves = 0, world_size = 0;
  // Of rank 0; older versions did not write them.
  std::optional<core::Json> machine = {};
  std::optional<std::string> program_version = {};

  template <class Archive>
  void fields(Archive& a) {
    a("global_step", global_step);
    a("epoch", epoch);
    a("samples_consumed", samples_consumed);
    a("skipped_steps", skipped_steps);
    a("failed_saves", failed_saves);
    a("world_size", world_size);
    a("machine", machine);
    a("program_version", program_version);
  }
};

/// What the logged steps of a run took together; means are of rank 0's steps.
struct StepTotals {
  std::int64_t num_steps = 0;  // that the lines are of: fewer than last_step where a run resumed from elsewhere
  std::int64_t last_step = 0;
  double tokens = 0, seconds = 0;  // seconds in steps: evaluations and saves are not in it
  double compute_s = 0, communication_s = 0, data_s = 0;
  double evaluation_s = 0;
  double peak_rss_bytes = 0, peak_gpu_bytes = 0;

  double other_s() const;  // of the steps
};

struct Training {
  std::filesystem::path directory = {};
  std::vector<LoggedStep> steps = {};
  std::vector<LoggedEvaluation> evaluations = {};
  std::optional<TrainResults> results = {};              // none: the run did not end, or was stopped
  std::string config_text = {};                          // config.cfg as it is; empty: none
  core::Named<std::string> options = {};                 // of it
  core::Json identity = core::Json::object();            // of the newest checkpoint's trainer_state.json
  std::string base = {};                                 // model_name_or_path
  std::string base_fingerprint = {}, base_storage = {};  // empty: no checkpoint says it
  std::string adapter_fingerprint = {};                  // empty: no adapter yet
  std::optional<std::int64_t> base_parameters = {}, adapter_parameters = {};
  std::vector<std::string> notes = {};  // what could not be read, and why

  StepTotals totals() const;
  std::int64_t world_size() const;  // 0: not known
};

/// `key = value` lines of a config file; UserError for what is none. `where` names it.
using ParseOptions = std::function<core::Named<std::string>(const std::string& text, const std::string& where)>;

/// Whether the directory holds something that only `train` writes.
bool is_training(const std::filesystem::path& directory);
/// UserError naming file and line for what `train` did not write. A last line that was cut short is left out.
Training read_training(const std::filesystem::path& directory, const ParseOptions& parse_options);

/// Of a model directory or random:<shape>; none: its config.json cannot be read (any more), which `notes` then says.
std::optional<std::int64_t> parameters_of(const std::string& model_name_or_path, std::vector<std::string>& notes);

}  // namespace allreco::report
