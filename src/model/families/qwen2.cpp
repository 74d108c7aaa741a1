// Qwen 2 and 2.5: Llama with biases on q, k and v.
#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

void read_qwen2(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys, {.num_key_value_heads = 32, .max_position_embeddings = 32768}, config);
  read_rope(keys, 10000, config);
  read_optional_window(keys, 4096, 28, config);
  read_activation(keys, "hidden_act", Activation::silu, config);
  set_biases({Projection::q, Projection::k, Projection::v}, config);
}

}  // namespace allreco::model
