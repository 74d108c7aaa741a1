// Patterns for names of modules, as adapter_config.json and quantization_config hold them.
#include "fuzz/target.h"
#include "model/checkpoint/quantization.h"
#include "model/lora/adapter_targets.h"

namespace allreco::fuzz {

void module_patterns(Input input) {
  const auto pieces = split(input, 3);
  model::ModelConfig config;
  config.vocab_size = config.hidden_size = config.intermediate_size = 8;
  config.num_hidden_layers = config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 4;
  model::LoraConfig lora;
  lora.target_modules = {std::string(pieces[0])};
  if (!pieces[1].empty()) lora.rank_pattern = {{std::string(pieces[1]), 4}};
  if (!pieces[2].empty()) lora.layers_pattern = {std::string(pieces[2])};
  model::is_skipped("model.layers.0.mlp.up_proj", lora.target_modules);
  validate(lora);
  model::resolve_targets(lora, config);
}

}  // namespace allreco::fuzz
