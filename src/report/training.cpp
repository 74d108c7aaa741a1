#include "report/training.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "core/input_file.h"
#include "core/users_mistake.h"
#include "data/input/line_reader.h"
#include "model/checkpoint/model_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/weight_source.h"
#include "model/decoder/weights.h"
#include "model/lora/adapter.h"

namespace allreco::report {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLargestConfig = 1 << 20;
constexpr std::size_t kMostLines = 2'000'000;

/// Every line of an evaluation has its loss, and no other line has one.
bool is_evaluation(const core::Json& line) { return line.contains("eval_loss"); }

LoggedEvaluation evaluation_of(const core::Json& line, const std::string& where) {
  LoggedEvaluation evaluation;
  const core::FieldReader read(line, where);
  read("step", evaluation.step);
  read("epoch", evaluation.epoch);
  read("eval_loss", evaluation.loss);
  read("eval_perplexity", evaluation.perplexity);
  read("eval_runtime_ms", evaluation.runtime_ms);
  for (const auto& [key, value] : line.items()) {
    const bool is_known = key == "eval_loss" || key == "eval_perplexity" || key == "eval_runtime_ms";
    if (key.starts_with("eval_") && !is_known && key != "eval_supervised_tokens" && value.is_number())
      evaluation.others.emplace_back(key.substr(5), value.get<double>());
  }
  return evaluation;
}

void add_line(Training& training, const std::string& text, const std::string& where) {
  const core::Json line = core::parse_json(text, where);
  if (!line.is_object()) core::user_error("{}: a line of `allreco train` is expected, an object with a step", where);
  if (is_evaluation(line)) {
    training.evaluations.push_back(evaluation_of(line, where));
  } else {
    training.steps.push_back(core::from_json<LoggedStep>(line, where));
  }
  const std::int64_t step = is_evaluation(line) ? training.evaluations.back().step : training.steps.back().step;
  if (step < 0) core::user_error("{}: step {} is negative", where, step);
  if (is_evaluation(line)) return;
  if (const auto count = training.steps.back().num_steps; count && (*count < 0 || *count > step))
    core::user_error("{}: num_steps = {} is not between 0 and step {}", where, *count, step);
}

/// A run may be writing the last line right now, or have been killed while it did.
bool ends_inside_line(const fs::path& path) {
  const core::InputFile file(path);
  if (file.size() == 0) return false;
  char last = 0;
  file.read(file.size() - 1, 1, &last);
  return last != '\n';
}

void read_metrics(Training& training) {
  const fs::path path = training.directory / "metrics.jsonl";
  if (!fs::exists(path)) {
    training.notes.emplace_back("metrics.jsonl is missing, so nothing is known of its steps");
    return;
  }
  const bool is_cut = ends_inside_line(path);
  data::LineReader lines(path);
  std::string line, next;
  bool has_line = lines.next(line);
  while (has_line) {
    const std::string where = fmt::format("{}:{}", path.string(), lines.line_number());
    const bool has_next = lines.next(next);
    if (!has_next && is_cut) {
      training.notes.emplace_back("the last line of metrics.jsonl is cut short and left out");
    } else if (!line.empty()) {
      add_line(training, line, where);
    }
    if (training.steps.size() + training.evaluations.size() > kMostLines)
      core::user_error("{} has more than {} lines: more than a report shows", path.string(), kMostLines);
    line.swap(next);
    has_line = has_next;
  }
}

void read_config(Training& training, const ParseOptions& parse_options) {
  const fs::path path = training.directory / "config.cfg";
  if (!fs::exists(path)) {
    training.notes.emplace_back("config.cfg is missing, so its options are not known");
    return;
  }
  model::require_own_file(path, training.directory);  // its text is shown
  training.config_text = core::read_file(path, kLargestConfig);
  training.options = parse_options(training.config_text, path.string());
  if (const std::string* base = core::find(training.options, "model_name_or_path")) training.base = *base;
}

/// The newest checkpoint says what the run was of; a run without checkpoints says less.
void read_identity(Training& training) {
  const fs::path path = training.directory / "last" / "trainer_state.json";
  if (!fs::exists(path)) return;
  const core::Json state = core::read_json_file(path);
  if (!state.is_object() || !state.contains("identity") || !state.at("identity").is_object())
    core::user_error("{} is not a trainer_state.json of this program: it has no identity", path.string());
  training.identity = state.at("identity");
  const auto text = [&](const char* key) {
    return training.identity.contains(key) && training.identity.at(key).is_string()
               ? training.identity.at(key).get<std::string>()
               : std::string();
  };
  training.base_fingerprint = text("base_model_fingerprint");
  training.base_storage = text("base_model_storage");
}

void read_adapter(Training& training) {
  const fs::path weights = training.directory / "adapter_model.safetensors";
  if (!fs::exists(weights)) {
    training.notes.emplace_back("there is no adapter yet: the run has not ended");
    return;
  }
  training.adapter_fingerprint = model::adapter_fingerprint(training.directory);
  if (training.base_storage.empty()) training.base_storage = model::base_storage_of_adapter(training.directory);
  const model::SafetensorsFile file(weights);
  std::int64_t parameters = 0;
  for (const std::string& name : file.names()) parameters += file.tensor(name).numel();
  training.adapter_parameters = parameters;
  if (training.base.empty()) training.base = model::read_adapter_config(training.directory).base_model_name_or_path;
}

double seconds(const std::optional<double>& ms, std::int64_t count) {
  return ms.value_or(0) / 1000 * static_cast<double>(count);
}

/// Of how many steps a file's first line is when it does not say: it may be of a run that resumed in another directory.
/// Its tokens, their speed and the time of a step are of the same steps. None: it does not have all three.
std::optional<std::int64_t> steps_by_speed(const LoggedStep& line) {
  const double tokens = line.tokens.value_or(0), a_step_s = line.step_ms.value_or(0) / 1000;
  const double count = tokens / line.tokens_per_second.value_or(0) / a_step_s;
  const bool is_count = count >= 0.5 && count < static_cast<double>(line.step) + 0.5;  // false of NaN
  return is_count ? std::optional(std::llround(count)) : std::nullopt;
}

/// `before`: the step of the line before; none: this is the first.
std::int64_t steps_of(const LoggedStep& line, std::optional<std::int64_t> before) {
  const std::int64_t since = std::max<std::int64_t>(0, line.step - before.value_or(0));
  if (line.num_steps) return std::min(*line.num_steps, since);
  return before ? since : std::min(steps_by_speed(line).value_or(since), since);
}

/// What the report cannot know of steps whose lines lie elsewhere.
void note_first_line(Training& training) {
  if (training.steps.empty()) return;
  const LoggedStep& first = training.steps.front();
  const std::int64_t count = steps_of(first, std::nullopt);
  if (count < first.step)
    training.notes.push_back(fmt::format(
        "metrics.jsonl begins after step {}: tokens, time and price are of the steps that it has", first.step - count));
  if (!first.num_steps && !steps_by_speed(first))
    training.notes.push_back(
        fmt::format("metrics.jsonl does not say of how many steps its first line is: all {} are counted", count));
}

}  // namespace

double StepTotals::other_s() const { return std::max(0.0, this->seconds - compute_s - communication_s - data_s); }

StepTotals Training::totals() const {
  StepTotals totals;
  std::optional<std::int64_t> before;
  for (const LoggedStep& line : steps) {
    const std::int64_t count = steps_of(line, before);
    totals.num_steps += count;
    totals.last_step = std::max(totals.last_step, line.step);
    before = totals.last_step;
    totals.tokens += line.tokens.value_or(0);
    totals.seconds += report::seconds(line.step_ms, count);
    totals.compute_s += report::seconds(line.compute_ms, count);
    totals.communication_s += report::seconds(line.communication_exposed_ms, count);
    totals.data_s += report::seconds(line.data_wait_ms, count);
    totals.peak_rss_bytes = std::max(totals.peak_rss_bytes, line.peak_rss_bytes.value_or(0));
    totals.peak_gpu_bytes = std::max(totals.peak_gpu_bytes, line.peak_gpu_bytes.value_or(0));
  }
  for (const LoggedEvaluation& line : evaluations) totals.evaluation_s += line.runtime_ms.value_or(0) / 1000;
  return totals;
}

std::int64_t Training::world_size() const { return results ? results->world_size : 0; }

bool is_training(const fs::path& directory) {
  return fs::exists(directory / "metrics.jsonl") || fs::exists(directory / "train_results.json");
}

Training read_training(const fs::path& directory, const ParseOptions& parse_options) {
  Training training{.directory = directory};
  read_metrics(training);
  note_first_line(training);
  read_config(training, parse_options);
  read_identity(training);
  read_adapter(training);
  const fs::path results = directory / "train_results.json";
  if (fs::exists(results))
    training.results = core::from_json<TrainResults>(core::read_json_file(results), results.string());
  if (!training.base.empty()) training.base_parameters = parameters_of(training.base, training.notes);
  return training;
}

std::optional<std::int64_t> parameters_of(const std::string& model_name_or_path, std::vector<std::string>& notes) {
  try {
    std::int64_t parameters = 0;
    for (const model::TensorSpec& spec : model::expected_tensors(model::read_base_config(model_name_or_path).config))
      parameters += c10::multiply_integers(spec.shape);
    return parameters;
  } catch (const std::exception& error) {
    const auto mistake = core::users_mistake(error);
    if (!mistake) throw;
    notes.push_back(fmt::format("the size of the base model is not known: {}", *mistake));
    return std::nullopt;
  }
}

}  // namespace allreco::report
