// Llama 2 to 3.2, TinyLlama, SmolLM2 and what else says "llama".
#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

void read_llama(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys, {.bos_token_id = 1, .eos_token_id = 2}, config);
  keys.expect("rope_interleaved", false);
  read_rope(keys, 10000, config);
  read_activation(keys, "hidden_act", Activation::silu, config);
  read_attention_bias(keys, config);
  read_mlp_bias(keys, config);
}

}  // namespace allreco::model
