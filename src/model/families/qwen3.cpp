// Qwen 3 (dense): a norm on every head's query and key.
#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

void read_qwen3(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys, {.num_key_value_heads = 32, .head_dim = 128, .max_position_embeddings = 32768}, config);
  config.norms = {kInputNorm, kQueryNorm, kKeyNorm, kNormBeforeMlp};
  read_rope(keys, 10000, config);
  read_optional_window(keys, 4096, 28, config);
  read_activation(keys, "hidden_act", Activation::silu, config);
  read_attention_bias(keys, config);
}

}  // namespace allreco::model
