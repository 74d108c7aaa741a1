#include "model/decoder/gpu_paths.h"

#include <fmt/core.h>

#include <algorithm>

#include "model/ops/cuda/attention_calls.h"

namespace allreco::model {

std::vector<std::string> plain_on_gpu(const ModelConfig& config) {
  if (!ops::cuda::flash_takes_head_dim(config.head_dim)) {
    return {fmt::format("attention, since flash attention takes no head_dim = {}, only multiples of 8 up to 256",
                        config.head_dim)};
  }
  std::vector<std::string> parts{"attention in float32; flash attention computes in bfloat16"};
  const auto slides = [](const LayerAttention& layer) { return layer.window.has_value(); };
  if (std::any_of(config.layers.begin(), config.layers.end(), slides))
    parts.emplace_back("attention of candidates to the prompt that they share, in layers with a sliding window");
  return parts;
}

}  // namespace allreco::model
