#include "train/trainer_state.h"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

#include "core/check.h"
#include "core/files.h"

namespace allreco::train {
namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr int kFormatVersion = 1;

/// nlohmann's own errors, and those of `count`, name no file.
template <class Read>
auto reading(const fs::path& path, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& e) {
    core::user_error("{} is not a trainer_state.json of this program: {}", path.string(), e.what());
  } catch (const std::invalid_argument& e) {
    core::user_error("{} is not a trainer_state.json of this program: {}", path.string(), e.what());
  }
}

/// A whole number of at least 0; std::invalid_argument.
std::int64_t count(const Json& json, const char* key) {
  const Json& value = json.at(key);
  const auto number = core::whole_number<std::int64_t>(value);
  if (!number || *number < 0)
    throw std::invalid_argument(core::message("{} = {}, expected a count", key, value.dump()));
  return *number;
}

Json window_to_json(const LogWindow& window) {
  return {{"loss_sum", window.loss_sum},
          {"num_losses", window.num_losses},
          {"num_steps", window.num_steps},
          {"tokens", window.tokens},
          {"supervised_tokens", window.supervised_tokens}};
}

LogWindow window_from_json(const Json& json) {
  LogWindow window;
  window.loss_sum = json.at("loss_sum").get<double>();
  window.num_losses = count(json, "num_losses");
  window.num_steps = count(json, "num_steps");
  window.tokens = count(json, "tokens");
  window.supervised_tokens = count(json, "supervised_tokens");
  return window;
}

std::string advice_for(const std::string& key, const Json& saved) {
  if (key == "global_batch_size") return fmt::format("; give global_batch_size = {}", saved.dump());
  if (key == "num_steps") return " (from max_steps or num_train_epochs; the learning rates follow from it)";
  return "";
}

/// The adapter's shape, and the optimiser's state with it.
constexpr std::array kNeverChange{"lora_r",         "target_modules", "exclude_modules", "layers_to_transform",
                                  "layers_pattern", "rank_pattern",   "use_dora",        "init_lora_weights",
                                  "optim"};

/// Keys that checkpoints of older versions lack: those say nothing about it.
bool is_newer(const std::string& key) { return key == "virtual_shards" || key.starts_with("skip_update_"); }

/// What the versions did whose checkpoints lack the key.
Json value_before(const std::string& key) {
  static const std::map<std::string, Json> kValues{
      {"base_model_storage", "dense"}, {"loraplus_lr_ratio", 0.0}, {"init_lora_weights", "true"}, {"use_dora", false}};
  const auto found = kValues.find(key);
  return found == kValues.end() ? Json::array() : found->second;  // LoRA's lists and patterns
}

void check_may_change(const std::string& key, const Json& identity) {
  if (std::find(kNeverChange.begin(), kNeverChange.end(), key) != kNeverChange.end()) {
    core::user_error(
        "resume_with_changed = {}: the checkpoint's factors and moments have the shapes of its own {}; start a new run "
        "with adapter_name_or_path instead",
        key, key);
  }
  if (identity.contains(key)) return;
  std::string known;
  for (const auto& [name, value] : identity.items()) {
    if (std::find(kNeverChange.begin(), kNeverChange.end(), name) == kNeverChange.end())
      known += (known.empty() ? "" : ", ") + name;
  }
  core::user_error("resume_with_changed = {} is not known, expected some of {}", key, known);
}

/// The projections' names in their own order, where the list has nothing else; else the entries as given.
Json targets_of(const model::LoraConfig& lora) {
  const auto names = [&](const auto& wanted) {
    Json list = Json::array();
    for (const model::Projection p : model::kProjections) {
      if (wanted(std::string(model::name_of(p)))) list.push_back(model::name_of(p));
    }
    return list;
  };
  const auto& given = lora.target_modules;
  if (given == std::vector<std::string>{"all-linear"}) return names([](const std::string&) { return true; });
  const auto is_name = [](const std::string& entry) { return model::projection_from_name(entry).has_value(); };
  if (!std::all_of(given.begin(), given.end(), is_name)) return given;
  return names([&](const std::string& name) { return std::find(given.begin(), given.end(), name) != given.end(); });
}

void add_lora_forms(Json& identity, const model::LoraConfig& lora) {
  identity["exclude_modules"] = lora.exclude_modules;
  identity["layers_to_transform"] = lora.layers_to_transform;
  identity["layers_pattern"] = lora.layers_pattern;
  identity["rank_pattern"] = lora.rank_pattern;
  identity["alpha_pattern"] = lora.alpha_pattern;
  identity["use_dora"] = lora.use_dora;
  identity["init_lora_weights"] = lora.init_lora_weights;
}

}  // namespace

Json run_identity(const TrainConfig& config, const model::LoraConfig& lora, const RunPlan& plan,
                  const data::DatasetInfo& dataset, const model::BaseModel& base) {
  Json identity{{"dataset_fingerprint", dataset.fingerprint},
                {"train_split", config.train_split},
                {"num_samples", plan.num_samples},
                {"base_model_fingerprint", base.fingerprint},
                {"base_model_storage", base.storage},
                {"dtype", std::string(c10::toString(base.weights.dtype()))},
                {"lora_r", lora.r},
                {"lora_alpha", lora.lora_alpha},
                {"lora_dropout", lora.lora_dropout},
                {"use_rslora", lora.use_rslora},
                {"target_modules", targets_of(lora)},
                {"global_batch_size", plan.global_batch_size},
                {"num_steps", plan.num_steps},
                {"seed", config.seed},
                {"shuffle_dataset", config.shuffle_dataset},
                {"learning_rate", config.learning_rate},
                {"lr_scheduler_type", config.lr_scheduler_type},
                {"warmup_steps", config.schedule(plan.num_steps).num_warmup_steps},
                {"min_lr_rate", config.schedule(plan.num_steps).min_lr_rate},
                {"optim", config.optim},
                {"loraplus_lr_ratio", config.loraplus_lr_ratio},
                {"weight_decay", config.weight_decay},
                {"adam_beta1", config.adam_beta1},
                {"adam_beta2", config.adam_beta2},
                {"adam_epsilon", config.adam_epsilon},
                {"max_grad_norm", config.max_grad_norm},
                {"virtual_shards", config.deterministic ? config.virtual_shards : 0},
                {"skip_update_lossz", config.skip_update_lossz},
                {"skip_update_gradz", config.skip_update_gradz}};
  add_lora_forms(identity, lora);
  return identity;
}

std::vector<std::string> require_same_identity(const Json& saved, const Json& now, const fs::path& checkpoint,
                                               const std::vector<std::string>& resume_with_changed) {
  std::vector<std::string> accepted;
  for (const std::string& key : resume_with_changed) check_may_change(key, now);
  std::string differences;
  for (const auto& [key, value] : now.items()) {
    const Json old = saved.contains(key) ? saved[key] : value_before(key);
    if (old == value || (!saved.contains(key) && is_newer(key))) continue;
    if (std::find(resume_with_changed.begin(), resume_with_changed.end(), key) != resume_with_changed.end()) {
      accepted.push_back(fmt::format("{} was {} and is now {}", key, old.dump(), value.dump()));
      continue;
    }
    differences += core::message("\n  {}: the checkpoint has {}, this run {}{}", key, old.dump(), value.dump(),
                                 advice_for(key, old));
  }
  if (differences.empty()) return accepted;
  throw core::UserError(fmt::format(  // with line ends of its own
      "cannot resume from {}, because it belongs to a different run:{}\nResume with the options and data of that run, "
      "name what shall differ in resume_with_changed, or start a new run from its weights with adapter_name_or_path = "
      "{} and another output_dir",
      core::printable(checkpoint.string()), differences, core::printable(checkpoint.string())));
}

std::int64_t resumed_global_batch_size(const TrainConfig& config, std::int64_t world_size, const SavedBatch& saved) {
  const bool same_options = config.global_batch_size == 0 &&
                            config.per_device_train_batch_size == saved.per_device_train_batch_size &&
                            config.gradient_accumulation_steps == saved.gradient_accumulation_steps;
  return same_options ? saved.global_batch_size : configured_global_batch_size(config, world_size);
}

Json to_json(const TrainerState& state, const TrainConfig& config, const RunPlan& plan, const Json& identity,
             std::int64_t world_size) {
  Json json;
  json["format"] = "allreco trainer state";
  json["version"] = kFormatVersion;
  json["global_step"] = state.global_step;
  json["max_steps"] = plan.num_steps;
  json["epoch"] = plan.epoch_after(state.global_step);
  json["num_train_epochs"] = plan.epoch_after(plan.num_steps);
  json["train_batch_size"] = config.per_device_train_batch_size;
  json["logging_steps"] = config.logging_steps;
  json["eval_steps"] = config.eval_interval();
  json["save_steps"] = config.save_steps;
  json["best_metric"] = state.best_metric ? Json(*state.best_metric) : Json();
  json["best_model_checkpoint"] = state.best_model_checkpoint.empty() ? Json() : Json(state.best_model_checkpoint);
  json["samples_consumed"] = plan.samples_after(state.global_step);
  json["gradient_accumulation_steps"] = config.gradient_accumulation_steps;
  json["global_batch_size"] = plan.global_batch_size;
  json["world_size"] = world_size;
  json["seed"] = config.seed;
  json["loss_sum"] = state.loss_sum;
  json["num_losses"] = state.num_losses;
  json["skipped_steps"] = state.num_skipped_steps;
  json["skipped_in_a_row"] = state.num_skipped_in_a_row;
  json["failed_saves"] = state.num_failed_saves;
  json["since_last_log"] = window_to_json(state.window);
  json["outlier_windows"] = state.spikes.to_json();
  json["config_hash"] = core::sha256_of_bytes(identity.dump());
  json["identity"] = identity;
  json["log_history"] = state.log_history;
  return json;
}

TrainerState state_from_json(const Json& json, const fs::path& path) {
  return reading(path, [&] {
    TrainerState state;
    if (json.at("version") != kFormatVersion) {
      core::user_error("{} has format version {}; this program reads {}", path.string(), json.at("version").dump(),
                       kFormatVersion);
    }
    state.global_step = count(json, "global_step");
    state.loss_sum = json.at("loss_sum").get<double>();
    state.num_losses = count(json, "num_losses");
    state.num_skipped_steps = count(json, "skipped_steps");
    state.num_skipped_in_a_row = count(json, "skipped_in_a_row");
    state.num_failed_saves = json.contains("failed_saves") ? count(json, "failed_saves") : 0;  // absent in older ones
    state.window = window_from_json(json.at("since_last_log"));
    if (json.contains("outlier_windows")) state.spikes.restore(json.at("outlier_windows"));  // absent in older ones
    state.log_history = json.at("log_history");
    if (!json.at("best_metric").is_null()) state.best_metric = json.at("best_metric").get<double>();
    if (!json.at("best_model_checkpoint").is_null()) {
      state.best_model_checkpoint = json.at("best_model_checkpoint").get<std::string>();
    }
    return state;
  });
}

SavedBatch batch_from_json(const Json& json, const fs::path& path) {
  return reading(path, [&] {
    return SavedBatch{
        .start = {.step = count(json, "global_step"), .samples_consumed = count(json, "samples_consumed")},
        .per_device_train_batch_size = count(json, "train_batch_size"),
        .gradient_accumulation_steps = count(json, "gradient_accumulation_steps"),
        .global_batch_size = count(json, "global_batch_size"),
        .world_size = count(json, "world_size")};
  });
}

Json identity_from_json(const Json& json, const fs::path& path) {
  return reading(path, [&] { return json.at("identity"); });
}

}  // namespace allreco::train
