// Mistral 7B, v0.1 (a window in all layers) to v0.3 (none).
#include <fmt/core.h>

#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

namespace {

/// transformers: without the key a window of 4096, with null none; layer_types is not read.
void read_window(const ConfigKeys& keys, ModelConfig& config) {
  std::optional<std::int64_t> window;
  if (!keys.has("sliding_window") || keys.present("sliding_window"))
    window = keys.size_or("sliding_window", 4096, kMostPositions);
  for (LayerAttention& layer : config.layers) layer.window = window;
  if (!keys.present("layer_types")) return;
  const std::string expected = window ? "sliding_attention" : "full_attention";
  for (const core::Json& type : keys.at("layer_types")) {
    if (type != expected) keys.refuse("layer_types", fmt::format("every layer must be {}", expected));
  }
}

}  // namespace

void read_mistral(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys, {.num_key_value_heads = 8, .max_position_embeddings = 131072, .bos_token_id = 1, .eos_token_id = 2},
             config);
  for (const char* key : {"attention_bias", "mlp_bias", "rope_interleaved"}) keys.expect(key, false);
  read_window(keys, config);
  read_rope(keys, 10000, config);
  read_activation(keys, "hidden_act", Activation::silu, config);
}

}  // namespace allreco::model
