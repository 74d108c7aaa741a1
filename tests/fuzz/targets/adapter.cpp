// An adapter directory on a tiny model: adapter_config.json, adapter_model.safetensors.
#include "model/lora/adapter.h"

#include "fuzz/target.h"

namespace allreco::fuzz {

namespace {

model::ModelConfig tiny_model() {
  model::ModelConfig config;
  config.vocab_size = config.hidden_size = config.intermediate_size = 8;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 4;
  return config;
}

}  // namespace

void adapter(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  directory.write("adapter_config.json", pieces[0]);
  directory.write("adapter_model.safetensors", as_safetensors(pieces[1]));
  const model::AdapterConfig config = model::read_adapter_config(directory.path());
  model::adapter_config_text(config);
  model::check_adapter(directory.path(), tiny_model(), config.lora);
  model::LoraStore store(tiny_model(), config.lora, at::kFloat, /*seed=*/0);
  model::load_adapter(directory.path(), store);
}

}  // namespace allreco::fuzz
