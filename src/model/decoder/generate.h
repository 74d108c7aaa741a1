// Greedy generation against a key-value cache.
#pragma once
#include <cstdint>
#include <vector>

#include "model/decoder/block.h"
#include "model/decoder/loss_head.h"
#include "model/decoder/rotary_table.h"

namespace allreco::model {

/// The parts of a decoder that generation drives.
struct GreedyModel {
  const ModelConfig& config;
  const Weights& weights;
  const std::vector<Block>& blocks;
  RotaryTables& rotary;
  const LossHead& head;
};

/// See Decoder::generate_greedy. UserError for an empty prompt.
std::vector<std::vector<std::int32_t>> generate_greedy(const GreedyModel& model,
                                                       const std::vector<std::vector<std::int32_t>>& prompts,
                                                       std::int64_t max_new_tokens,
                                                       const std::vector<std::int64_t>& eos);

}  // namespace allreco::model
