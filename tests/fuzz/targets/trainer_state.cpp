// trainer_state.json of a checkpoint.
#include "train/trainer_state.h"

#include "fuzz/target.h"

namespace allreco::fuzz {

void trainer_state(Input input) {
  const Directory directory;
  const auto path = directory.write("trainer_state.json", input);
  const core::Json document = core::read_json_file(path);
  train::batch_from_json(document, path);
  const train::TrainerState state = train::state_from_json(document, path);
  state.log_history.dump();
  state.spikes.to_json().dump();
  const core::Json now{{"lora_r", 8}, {"learning_rate", 1e-4}, {"target_modules", {"q_proj"}}, {"num_steps", 3}};
  train::require_same_identity(train::identity_from_json(document, path), now, path, {"learning_rate"});
}

}  // namespace allreco::fuzz
