// The shapes behind random:<name>: what each model's config.json on the Hugging Face hub says.
#include <fmt/ranges.h>

#include <map>

#include "core/check.h"
#include "model/families/config.h"

namespace allreco::model {

namespace {

const std::map<std::string, const char*>& published_configs() {
  static const std::map<std::string, const char*> kConfigs{
      {"tinyllama-1.1b", R"({"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632,
        "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16"})"},
      {"mistral-7b", R"({"model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768,
        "sliding_window": 4096, "rms_norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16"})"},
      {"llama-2-7b", R"({"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16"})"},
      {"llama-3.2-1b", R"({"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-05, "rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 32,
        "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192},
        "tie_word_embeddings": true, "bos_token_id": 128000, "eos_token_id": 128001, "dtype": "bfloat16"})"},
      {"smollm2-135m", R"({"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-05, "rope_theta": 100000, "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 0,
        "dtype": "bfloat16"})"},
      {"stories260k", R"({"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 172,
        "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512,
        "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32"})"},
      {"qwen2.5-0.5b", R"({"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000, "sliding_window": 32768, "use_sliding_window": false,
        "max_window_layers": 24, "tie_word_embeddings": true, "bos_token_id": 151643, "eos_token_id": 151643,
        "dtype": "bfloat16"})"},
      {"qwen3-0.6b", R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "sliding_window": null,
        "use_sliding_window": false, "max_window_layers": 28, "tie_word_embeddings": true, "bos_token_id": 151643,
        "eos_token_id": 151645, "dtype": "bfloat16"})"},
      {"gemma3-270m", R"({"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640,
        "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000,
        "rope_local_base_freq": 10000, "sliding_window": 512, "sliding_window_pattern": 6, "query_pre_attn_scalar": 256,
        "bos_token_id": 2, "eos_token_id": 1, "dtype": "bfloat16"})"},
      {"gemma3-1b", R"({"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152,
        "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000,
        "rope_local_base_freq": 10000, "sliding_window": 512, "sliding_window_pattern": 6, "query_pre_attn_scalar": 256,
        "bos_token_id": 2, "eos_token_id": [1, 106], "dtype": "bfloat16"})"},
      {"smollm3-3b", R"({"model_type": "smollm3", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 11008,
        "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4, "max_position_embeddings": 65536,
        "rms_norm_eps": 1e-06, "rope_theta": 5000000, "no_rope_layer_interval": 4, "tie_word_embeddings": true,
        "bos_token_id": 128000, "eos_token_id": 128012, "dtype": "bfloat16"})"}};
  return kConfigs;
}

}  // namespace

ModelConfig named_model_config(const std::string& name) {
  const auto& configs = published_configs();
  if (const auto found = configs.find(name); found != configs.end())
    return parse_model_config(core::parse_json(found->second, "random:" + name), "random:" + name);
  core::user_error("unknown model shape \"{}\": expected one of {}", name, fmt::join(published_names(), ", "));
}

std::vector<std::string> published_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : published_configs()) names.push_back(name);
  return names;
}

}  // namespace allreco::model
