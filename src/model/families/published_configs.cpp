// The shapes behind random:<name>, with the constants of each model's config.json on the Hugging Face hub.
#include <map>

#include "core/check.h"
#include "model/families/config.h"

namespace allreco::model {

namespace {

/// What the Llama family shares; the rest differs by model.
ModelConfig published(std::int64_t hidden, std::int64_t intermediate, std::int64_t layers, std::int64_t heads,
                      std::int64_t kv_heads) {
  ModelConfig config;
  config.hidden_size = hidden;
  config.intermediate_size = intermediate;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = kv_heads;
  config.head_dim = hidden / heads;
  config.vocab_size = 32000;
  config.rms_norm_eps = 1e-5;
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  config.checkpoint_dtype = at::kBFloat16;
  return config;
}

std::map<std::string, ModelConfig> named_configs() {
  std::map<std::string, ModelConfig> named;
  named["tinyllama-1.1b"] = published(2048, 5632, 22, 32, 4);

  ModelConfig& mistral = named["mistral-7b"] = published(4096, 14336, 32, 32, 8);  // v0.1
  mistral.model_type = "mistral";
  mistral.max_position_embeddings = 32768;
  mistral.sliding_window = 4096;

  ModelConfig& llama2 = named["llama-2-7b"] = published(4096, 11008, 32, 32, 32);
  llama2.max_position_embeddings = 4096;

  ModelConfig& llama32 = named["llama-3.2-1b"] = published(2048, 8192, 16, 32, 8);
  llama32.vocab_size = 128256;
  llama32.max_position_embeddings = 131072;
  llama32.rope_theta = 500000;
  llama32.rope_scaling = Llama3RopeScaling{32, 1, 4, 8192};
  llama32.tie_word_embeddings = true;
  llama32.bos_token_id = 128000;
  llama32.eos_token_ids = {128001};

  ModelConfig& smollm = named["smollm2-135m"] = published(576, 1536, 30, 9, 3);
  smollm.vocab_size = 49152;
  smollm.max_position_embeddings = 8192;
  smollm.rope_theta = 100000;
  smollm.tie_word_embeddings = true;
  smollm.bos_token_id = 0;
  smollm.eos_token_ids = {0};

  ModelConfig& stories = named["stories260k"] = published(64, 172, 5, 8, 4);
  stories.vocab_size = 512;
  stories.max_position_embeddings = 512;
  stories.tie_word_embeddings = true;
  stories.checkpoint_dtype = at::kFloat;
  return named;
}

}  // namespace

ModelConfig named_model_config(const std::string& name) {
  const auto named = named_configs();
  if (const auto found = named.find(name); found != named.end()) return found->second;
  std::string known;
  for (const auto& [key, config] : named) known += (known.empty() ? "" : ", ") + key;
  core::user_error("unknown model shape \"{}\": expected one of {}", name, known);
}

}  // namespace allreco::model
