// What a run reads before its first step, checked to go together.
#pragma once
#include <optional>

#include "data/store/dataset.h"
#include "dist/session.h"
#include "model/decoder/weights.h"
#include "model/lora/lora.h"
#include "train/config.h"

namespace allreco::train {

struct RunInputs {
  data::Dataset train_data;
  std::optional<data::Dataset> eval_data;  // with eval_strategy steps or epoch
  model::BaseModel base;
  model::LoraConfig lora;
};

/// Collective. UserError for a missing split, one that cannot give metric_for_best_model, a dataset of another
/// tokenizer or with a larger vocabulary than the model, examples longer than the model's positions, LoRA options or an
/// adapter that do not fit.
RunInputs read_inputs(dist::Session& session, const TrainJob& job, at::Device device);

}  // namespace allreco::train
