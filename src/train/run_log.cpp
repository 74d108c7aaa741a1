#include "train/run_log.h"

#include <fmt/core.h>

#include <cmath>

#include "core/log.h"

namespace allreco::train {
namespace {

std::string summary_of(const core::Json& line) {
  std::string text;
  for (const char* key : {"step", "epoch", "loss", "grad_norm", "learning_rate", "tokens_per_second", "step_ms",
                          "eval_loss", "eval_accuracy", "eval_hit_rate@10", "eval_ndcg@10", "eval_mrr"}) {
    if (!line.contains(key)) continue;
    const core::Json& value = line[key];
    const std::string number = value.is_number_float() ? fmt::format("{:.5g}", value.get<double>()) : value.dump();
    text += fmt::format("{}{} {}", text.empty() ? "" : "  ", key, number);
  }
  return text;
}

std::string curve_name(const std::string& key) {
  return key.starts_with("eval_") ? "eval/" + key.substr(5) : "train/" + key;
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& output_dir, std::int64_t completed_steps, std::int64_t num_steps,
               bool is_leader)
    : progress_(num_steps, completed_steps, is_leader) {
  if (!is_leader) return;
  metrics_.emplace(output_dir / "metrics.jsonl", completed_steps == 0 ? -1 : completed_steps);
  curves_.emplace(output_dir, completed_steps == 0 ? 0 : completed_steps + 1);
}

void RunLog::write(const core::Json& line) {
  if (!metrics_) return;
  const bool metrics_written = metrics_->append(line);
  const auto step = line.at("step").get<std::int64_t>();
  for (const auto& [key, value] : line.items()) {
    if (key != "step" && value.is_number()) curves_->add_scalar(curve_name(key), value.get<double>(), step);
  }
  const bool refused = !curves_->flush() || !metrics_written;
  if (refused && !refused_) {
    core::log_warning(
        "the disk refuses metrics.jsonl or TensorBoard's file (is it full?); training goes on, and their "
        "lines wait in memory until it takes them");
  }
  refused_ = refused;
  if (line.contains("eval_loss")) {
    progress_.say(summary_of(line));
  } else {
    progress_.say_step(summary_of(line));
  }
}

void RunLog::finish() {
  if (!metrics_) return;
  metrics_->finish();
  curves_->finish();
}

}  // namespace allreco::train
