#include "train/run_inputs.h"

#include <filesystem>

#include "core/check.h"
#include "core/files.h"
#include "eval/base_model.h"
#include "eval/training_metrics.h"
#include "model/lora/adapter.h"
#include "model/lora/adapter_targets.h"

namespace allreco::train {
namespace {

void check_data_fits_model(const data::DatasetInfo& info, const model::BaseModel& base) {
  const model::ModelConfig& config = base.config;
  data::require_vocabulary_fits(info, config.vocab_size, base.name);
  if (info.max_length > config.max_position_embeddings) {
    core::user_error(
        "the dataset {} has examples of {} tokens, but the model {} has {} positions: prepare it with a smaller "
        "max_length",
        info.directory.string(), info.max_length, base.name, config.max_position_embeddings);
  }
}

/// Reads the model's tokenizer, so one rank does it.
void check_tokenizer(const data::DatasetInfo& info, const model::BaseModel& base) {
  if (info.tokenizer_sha256.empty()) return;
  std::filesystem::path other;
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const std::filesystem::path tokenizer = std::filesystem::path(base.name) / name;
    if (!std::filesystem::exists(tokenizer)) continue;
    if (core::sha256_of_file(tokenizer) == info.tokenizer_sha256) return;
    other = tokenizer;
  }
  if (other.empty()) return;
  core::user_error("the dataset {} was prepared with another tokenizer than {}: prepare it again with --tokenizer {}",
                   info.directory.string(), other.string(), base.name);
}

data::Dataset open_split(const std::string& directory, const std::string& split, bool verify) {
  data::Dataset dataset(directory, split, verify);
  if (dataset.size() == 0) core::user_error("the split {} of {} is empty", split, directory);
  return dataset;
}

}  // namespace

RunInputs read_inputs(dist::Session& session, const TrainJob& job, at::Device device) {
  const TrainConfig& config = job.config;
  std::optional<data::Dataset> train_data, eval_data;
  std::optional<model::BaseModel> base;
  model::LoraConfig lora = job.lora;
  session.together("reading the dataset and the model", [&] {
    if (!job.adapter_name_or_path.empty()) lora = model::read_adapter_config(job.adapter_name_or_path).lora;
    model::validate(lora);
    const bool verify = session.local_rank() == 0;  // once a node: the others read the same files
    train_data.emplace(open_split(config.dataset, config.train_split, verify));
    if (config.eval_strategy != "no") {
      eval_data.emplace(open_split(config.dataset, config.eval_split, verify));
      eval::require_metric(*eval_data,
                           {.metric = config.best_metric_name(), .max_eval_samples = config.max_eval_samples});
    }
    base = eval::load_base_model(session, job.base, device);
    if (!job.adapter_name_or_path.empty()) model::check_adapter(job.adapter_name_or_path, base->config, lora);
    model::resolve_targets(lora, base->config);  // for its refusals
    check_data_fits_model(train_data->info(), *base);
    if (session.is_leader()) check_tokenizer(train_data->info(), *base);
  });
  return {std::move(*train_data), std::move(eval_data), std::move(*base), std::move(lora)};
}

}  // namespace allreco::train
