// The arithmetic of a training step, by formula, and what the machine can do of it, by measurement.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/families/config.h"
#include "model/lora/lora.h"

namespace allreco::bench {

/// An example of a step.
struct ExampleSize {
  std::int64_t tokens = 0;
  std::int64_t supervised_tokens = 0;
};

/// Floating-point operations, a multiply-add being two.
struct StepFlop {
  double projections = 0, lora = 0, attention = 0, loss_head = 0;
  double total() const { return projections + lora + attention + loss_head; }
};

/// What a step must compute, whoever computes it and however: nothing that is computed again (checkpointing, flash
/// attention's backward), and nothing that this program leaves out (rows without a target in the last block, the first
/// block's gradient to its input). So it compares machines and programs. See kFlopFormula.
StepFlop flop_of_step(const model::ModelConfig& config, const model::LoraConfig& lora,
                      const std::vector<ExampleSize>& examples);

/// T tokens, W elements of a layer's frozen projections, P LoRA parameters, S supervised tokens, V vocabulary, D
/// hidden, H heads, E head dim.
inline constexpr const char* kFlopFormula =
    "projections: 4 T sum(W) (forward 2, gradient of the input 2; frozen weights have none); lora: 6 T P; "
    "attention: 12 H E sum over layers of the pairs of query and visible key (4 forward, 8 backward); "
    "loss head: 4 S V D";

/// A product [tokens, in] x [in, out] as libtorch computes it.
struct ProductSpeed {
  std::int64_t rows = 0, in = 0, out = 0;
  double flop_per_second = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("rows", rows);
    a("in", in);
    a("out", out);
    a("flop_per_second", flop_per_second);
  }
};

/// The products of the model's frozen projections, with as many rows as a micro-batch has tokens; each shape once, the
/// best of several runs. `dtype`: the model's; float32 on CPUs whose libtorch has only a plain loop for bfloat16.
std::vector<ProductSpeed> measure_products(const model::ModelConfig& config, at::ScalarType dtype, at::Device device,
                                           std::int64_t rows);

}  // namespace allreco::bench
