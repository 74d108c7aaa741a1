// The benchmark of the training step: the trainer's own step, plan, batches, optimiser and data plane, with nothing
// written.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/config.h"
#include "bench/flops.h"
#include "core/json_fields.h"
#include "dist/session.h"

namespace allreco::bench {

/// Milliseconds of a step, the mean of the measured ones. A part is what the rank's host waits for.
struct StepParts {
  double data = 0;           // plan the step, read and pack examples
  double forward = 0;        // to the last block's output
  double loss_head = 0;      // logits, loss and their gradient
  double backward = 0;       // with the communication that it hides
  double communication = 0;  // that backward did not hide, and waiting for slower ranks' gradients
  double optimizer = 0;      // clip, update, cast
  double idle = 0;           // the rest: agreeing with the other ranks, bookkeeping

  template <class Archive>
  void fields(Archive& a) {
    a("data", data);
    a("forward", forward);
    a("loss_head", loss_head);
    a("backward", backward);
    a("communication", communication);
    a("optimizer", optimizer);
    a("idle", idle);
  }
};

/// Bytes of one rank: of its GPU, or of its process.
struct MemoryKinds {
  std::int64_t base = 0;         // the frozen weights
  std::int64_t lora_state = 0;   // parameters, gradients, compute copy, moments
  std::int64_t activations = 0;  // kept for backward, at their most
  std::int64_t workspace = 0;    // what else the steps took at their most: temporaries, logits, dequantised weights
  std::int64_t runtime = 0;      // the process before it read anything (libraries, MPI); 0 on a GPU
  std::int64_t peak = 0;         // the sum, measured

  template <class Archive>
  void fields(Archive& a) {
    a("base", base);
    a("lora_state", lora_state);
    a("activations", activations);
    a("workspace", workspace);
    a("runtime", runtime);
    a("peak", peak);
  }
};

struct RankResult {
  std::string host;
  std::int64_t tokens = 0;         // of all measured steps
  std::int64_t micro_batches = 0;  // of all measured steps
  double seconds = 0;
  double step_ms = 0, median_step_ms = 0;
  StepParts parts;
  MemoryKinds memory;
  double peak_flop_per_second = 0;  // the fastest of `products`
  std::vector<ProductSpeed> products;

  template <class Archive>
  void fields(Archive& a) {
    a("host", host);
    a("tokens", tokens);
    a("micro_batches", micro_batches);
    a("seconds", seconds);
    a("step_ms", step_ms);
    a("median_step_ms", median_step_ms);
    a("parts_ms", parts);
    a("memory_bytes", memory);
    a("peak_flop_per_second", peak_flop_per_second);
    a("products", products);
  }
};

struct TrainingResult {
  std::vector<RankResult> ranks;
  std::int64_t num_steps = 0;
  std::int64_t examples_per_step = 0;
  std::int64_t tokens = 0;     // of all ranks and measured steps
  StepFlop flop;               // of all ranks and measured steps
  std::vector<double> losses;  // of all steps, those that warm up among them
  core::Json model, machine, gradients;

  double seconds() const;  // of the slowest rank
  double tokens_per_second() const { return static_cast<double>(tokens) / seconds(); }
  double flop_per_second() const { return flop.total() / seconds(); }
  double peak_flop_per_second() const;  // of all ranks at once
};

/// Collective; the same on every rank. UserError for a model, data or options that do not go together.
TrainingResult bench_training(dist::Session& session, const BenchConfig& config);

}  // namespace allreco::bench
