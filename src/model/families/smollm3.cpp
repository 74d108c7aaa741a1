// SmolLM3: Llama whose every fourth layer does not know positions.
#include <fmt/core.h>

#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

namespace {

/// no_rope_layers: 1 turns, 0 does not.
void read_layers_without_rope(const ConfigKeys& keys, ModelConfig& config) {
  const std::int64_t interval = keys.size_or("no_rope_layer_interval", 4);
  if (keys.present("no_rope_layers")) {
    const core::Json& list = keys.at("no_rope_layers");
    if (!list.is_array() || std::ssize(list) < config.num_hidden_layers)
      keys.refuse("no_rope_layers", fmt::format("expected {} entries, one a layer", config.num_hidden_layers));
    for (size_t layer = 0; layer < config.layers.size(); ++layer) {
      if (list[layer] != 0 && list[layer] != 1) keys.refuse("no_rope_layers", "expected 0 or 1 for each layer");
      if (list[layer] == 0) config.layers[layer].rope.reset();
    }
    return;
  }
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if ((layer + 1) % interval == 0) config.layers[static_cast<size_t>(layer)].rope.reset();
  }
}

}  // namespace

void read_smollm3(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys,
             {.num_key_value_heads = 4,
              .max_position_embeddings = 32768,
              .tie_word_embeddings = true,
              .bos_token_id = 128000,
              .eos_token_id = 128001},
             config);
  read_rope(keys, 2e6, config);
  read_layers_without_rope(keys, config);
  keys.expect("use_sliding_window", false);
  for (const bool slides : sliding_layers(keys, config)) {
    if (slides) keys.refuse("layer_types", "expected full_attention for every layer");
  }
  read_activation(keys, "hidden_act", Activation::silu, config);
  read_attention_bias(keys, config);
  read_mlp_bias(keys, config);
}

}  // namespace allreco::model
