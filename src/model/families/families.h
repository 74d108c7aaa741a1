// The families of decoders: what each one's config.json means, one file a family.
#pragma once
#include <span>
#include <string_view>

#include "model/families/config.h"
#include "model/families/config_keys.h"

namespace allreco::model {

/// `model_type` of config.json, and what fills a config from it: everything but what all families share
/// (parse_model_config reads eps, special tokens, dtype and quantisation).
struct Family {
  std::string_view model_type;
  void (*read)(const ConfigKeys& keys, ModelConfig& config);
};

void read_gemma3(const ConfigKeys& keys, ModelConfig& config);
void read_llama(const ConfigKeys& keys, ModelConfig& config);
void read_mistral(const ConfigKeys& keys, ModelConfig& config);
void read_qwen2(const ConfigKeys& keys, ModelConfig& config);
void read_qwen3(const ConfigKeys& keys, ModelConfig& config);
void read_smollm3(const ConfigKeys& keys, ModelConfig& config);

inline constexpr Family kFamilies[]{{"gemma3_text", read_gemma3}, {"llama", read_llama}, {"mistral", read_mistral},
                                    {"qwen2", read_qwen2},        {"qwen3", read_qwen3}, {"smollm3", read_smollm3}};

}  // namespace allreco::model
