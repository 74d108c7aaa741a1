// Small decoders in float64 for the tests: random shapes of every family, with random weights and LoRA factors that
// matter, and a batch of three examples.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/decoder/naive_decoder.h"
#include "model/decoder/packed_batch.h"
#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/lora/lora.h"

namespace allreco::model::testing {

struct DecoderCase {
  std::string name;
  ModelConfig config;
  LoraConfig lora;
  double weight_factor = 1;  // of random projections, N(0, 0.02^2)
};

/// Llama's block in shapes and forms of LoRA.
std::vector<DecoderCase> lora_cases();
/// Every family with each of its own terms, read from a config.json of random sizes.
std::vector<DecoderCase> family_cases();
const DecoderCase& family_case(const std::string& name);

inline constexpr std::int64_t kCaseVocabSize = 37;

struct DecoderFixture {
  enum class Storage { dense, nf4 };
  explicit DecoderFixture(const DecoderCase& c, Storage storage = Storage::dense);

  struct Sample {
    std::vector<std::int32_t> tokens;
    std::int64_t prompt_length;
    std::uint64_t key;
  };
  PackedBatch batch(const std::vector<size_t>& which) const;
  /// The dropout that the decoder applies to this example's rows, from the documented place of each mask.
  NaiveDecoder::Dropped dropped(const Sample& sample, double p) const;

  ModelConfig config;
  Weights weights;
  LoraStore store;
  std::vector<Sample> examples;
  double amplification;  // of rounding
};
inline constexpr std::uint64_t kStepKey = 99;  // the dropout_key that `dropped` is for

/// What float64 may lose: sums of some hundred terms, each rounded by 1e-16 of the largest (the window case has
/// gradients of some hundreds), are good to about 1e-13 of that size; ten times that. With weights that matter a norm's
/// gradient divides by rows that may be small: 1e-11 of the largest was seen in one case of sixteen, which float32
/// anywhere (6e-8) would not reach; `amplification` leaves room for it.
double rounding_of(const at::Tensor& expected, double amplification = 1);
double worst_difference(const at::Tensor& a, const at::Tensor& b);

/// One batch of all examples, forward and backward: the loss and every gradient against autograd on the naive decoder.
void expect_step_equals_naive(DecoderFixture& fixture);

}  // namespace allreco::model::testing
