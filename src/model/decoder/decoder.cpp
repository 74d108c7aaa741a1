#include "model/decoder/decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <chrono>

#include "core/check.h"
#include "core/random.h"
#include "model/decoder/attention_plan.h"
#include "model/decoder/block.h"
#include "model/decoder/embedding.h"
#include "model/decoder/generate.h"
#include "model/decoder/loss_head.h"
#include "model/decoder/rotary_table.h"
#include "model/device.h"

namespace allreco::model {

namespace {

std::vector<std::int64_t> to_vector(const at::Tensor& t) {
  return {t.const_data_ptr<std::int64_t>(), t.const_data_ptr<std::int64_t>() + t.numel()};
}

/// Whether prediction i is that of row i of the rows that need logits: so unless branches part.
bool predicts_row_by_row(const PackedBatch& batch) {
  const auto* rows = batch.prediction_rows.const_data_ptr<std::int64_t>();
  std::int64_t i = 0;
  while (i < batch.num_predictions() && rows[i] == i) ++i;
  return i == batch.num_predictions() && i == batch.logit_rows.size(0);
}

/// One key a row, from its sample and its position: int64 [T].
at::Tensor dropout_row_keys(const PackedBatch& batch) {
  at::Tensor keys = at::empty({batch.num_tokens()}, at::kLong);
  auto* out = keys.data_ptr<std::int64_t>();
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const Segment& segment = batch.segments[s];
    for (std::int64_t i = 0; i < segment.length; ++i) {
      const auto position = static_cast<std::uint64_t>(segment.shared_length + i);
      out[segment.begin + i] = static_cast<std::int64_t>(core::mix_key(batch.sample_keys[s], {position}));
    }
  }
  return keys;
}

/// Fills in a PassReport; does nothing without one.
class PassClock {
 public:
  PassClock(PassReport* report, at::Device device) : report_(report), device_(device) {}

  /// The part that ends here.
  void lap(double PassReport::*part) {
    if (report_ == nullptr) return;
    wait_for_device(device_);
    const auto now = std::chrono::steady_clock::now();
    report_->*part += std::chrono::duration<double, std::milli>(now - begin_).count();
    begin_ = now;
  }
  void note(const std::vector<BlockActivations>& activations) const {
    if (report_ != nullptr) report_->activation_bytes = std::max(report_->activation_bytes, bytes_of(activations));
  }

 private:
  PassReport* report_;
  at::Device device_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

struct Decoder::State {
  State(const ModelConfig& c, const Weights& w, LoraStore* l)
      : config(c), weights(w), lora(l), rotary(c, w.dtype(), w.device()), head(config, weights) {
    for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
      blocks.emplace_back(config, weights.layers[static_cast<size_t>(i)], i, lora,
                          lora == nullptr ? nullptr : &lora->layer_gradients(i));
    }
  }

  StreamContext context_of(const PackedBatch& batch, std::uint64_t dropout_key, bool training);
  QueryRows loss_rows(const PackedBatch& batch, const StreamContext& context) const;
  LossHead::Loss predictions_loss(const at::Tensor& x, const PackedBatch& batch, double gradient_scale) const;
  at::Tensor on_device(const at::Tensor& t) const { return t.to(weights.device(), /*non_blocking=*/true); }
  at::Tensor embedded(const at::Tensor& tokens) const { return embed(config, weights.embedding, on_device(tokens)); }
  at::Tensor loss_rows_output(const PackedBatch& batch, KeyValueCache* cache = nullptr);

  ModelConfig config;
  Weights weights;
  LoraStore* lora;
  RotaryTables rotary;
  LossHead head;
  std::vector<Block> blocks;
};

StreamContext Decoder::State::context_of(const PackedBatch& batch, std::uint64_t dropout_key, bool training) {
  std::int64_t num_positions = 1;
  for (const Segment& s : batch.segments) num_positions = std::max(num_positions, s.shared_length + s.length);

  StreamContext context;
  context.ropes = rotary.up_to(num_positions);
  context.all.positions = on_device(batch.positions);
  context.all.spans = attention_spans(batch);
  if (training && lora->config().lora_dropout > 0) {
    context.dropout_probability = lora->config().lora_dropout;
    context.dropout_key = dropout_key;
    context.all.row_keys = on_device(dropout_row_keys(batch));
  }
  return context;
}

QueryRows Decoder::State::loss_rows(const PackedBatch& batch, const StreamContext& context) const {
  QueryRows rows;
  rows.indices = on_device(batch.logit_rows);
  rows.positions = context.all.positions.index_select(0, rows.indices);
  rows.spans = attention_spans(batch, to_vector(batch.logit_rows));
  if (context.all.row_keys.defined()) rows.row_keys = context.all.row_keys.index_select(0, rows.indices);
  return rows;
}

/// The last block's output for the rows that need logits, [N, D].
at::Tensor Decoder::State::loss_rows_output(const PackedBatch& batch, KeyValueCache* cache) {
  StreamContext context = context_of(batch, 0, /*training=*/false);
  core::require(cache != nullptr || batch.first_row == 0, "a batch that goes on behind another needs its cache");
  if (cache != nullptr) {
    cache->set_store_rows(on_device(at::arange(batch.first_row, batch.first_row + batch.num_tokens(), at::kLong)));
    context.cache = cache;
  }
  at::Tensor x = embedded(batch.tokens);
  for (size_t i = 0; i + 1 < blocks.size(); ++i) x = blocks[i].forward(x, context.all, context, nullptr);
  return blocks.back().forward(x, loss_rows(batch, context), context, nullptr);
}

/// x [N, D] the last block's output at the rows that need logits. A row where branches part predicts several targets.
LossHead::Loss Decoder::State::predictions_loss(const at::Tensor& x, const PackedBatch& batch,
                                                double gradient_scale) const {
  const at::Tensor targets = on_device(batch.targets);
  if (predicts_row_by_row(batch)) return head.loss_and_gradient(x, targets, gradient_scale);
  const at::Tensor rows = on_device(batch.prediction_rows);
  LossHead::Loss loss = head.loss_and_gradient(x.index_select(0, rows), targets, gradient_scale);  // dx [M, D]
  loss.dx = at::zeros_like(x).index_add_(0, rows, loss.dx);
  return loss;
}

Decoder::Decoder(const ModelConfig& config, const Weights& weights, LoraStore* lora)
    : state_(std::make_unique<State>(config, weights, lora)) {}
Decoder::~Decoder() = default;
const ModelConfig& Decoder::config() const { return state_->config; }

double Decoder::forward_backward(const PackedBatch& batch, const TrainPass& pass) {
  at::NoGradGuard no_grad;
  State& s = *state_;
  core::require(s.lora != nullptr, "training needs a LoRA store");
  core::require(batch.first_row == 0, "training needs the whole path in its batch");
  const StreamContext context = s.context_of(batch, pass.dropout_key, /*training=*/true);
  const QueryRows loss_rows = s.loss_rows(batch, context);
  const auto num_layers = static_cast<std::int64_t>(s.blocks.size());
  const std::int64_t first = s.lora->first_layer_with_lora();
  const auto rows_of = [&](std::int64_t layer) -> const QueryRows& {
    return layer + 1 == num_layers ? loss_rows : context.all;
  };

  PassClock clock(pass.report, s.weights.device());

  // 1 forward; with checkpointing only each block's input stays
  std::vector<BlockActivations> activations(s.blocks.size());
  at::Tensor x = s.embedded(batch.tokens);  // [T, D]
  for (std::int64_t i = 0; i < num_layers; ++i) {
    auto& a = activations[static_cast<size_t>(i)];
    const bool keep = i >= first && (!pass.gradient_checkpointing || i + 1 == num_layers);
    a.x = x;
    x = s.blocks[static_cast<size_t>(i)].forward(x, rows_of(i), context, keep ? &a : nullptr);  // [T or N, D]
  }
  clock.note(activations);
  clock.lap(&PassReport::forward_ms);
  // 2 loss and its gradient in one pass
  const LossHead::Loss loss = s.predictions_loss(x, batch, pass.gradient_scale);
  clock.lap(&PassReport::loss_head_ms);
  // 3 backward, last layer first; each layer's gradients are complete when it is left
  at::Tensor dx = loss.dx;
  for (std::int64_t i = num_layers - 1; i >= 0; --i) {
    auto& a = activations[static_cast<size_t>(i)];
    Block& block = s.blocks[static_cast<size_t>(i)];
    if (i >= first) {
      if (!a.q.defined()) {
        block.forward(at::Tensor(a.x), rows_of(i), context, &a);
        clock.note(activations);
      }
      dx = block.backward(dx, a, rows_of(i), context, /*want_dx=*/i > first);
      a = {};
    }
    if (pass.layer_done) pass.layer_done(i);
  }
  clock.lap(&PassReport::backward_ms);
  return loss.nll_sum.item<double>();
}

KeyValueCache Decoder::make_cache(std::int64_t num_rows) const {
  return {state_->config, 1, num_rows, state_->weights.dtype(), state_->weights.device()};
}

at::Tensor Decoder::log_probabilities(const PackedBatch& batch, KeyValueCache* cache) {
  at::NoGradGuard no_grad;
  const at::Tensor x = state_->loss_rows_output(batch, cache);
  return state_->head.log_probabilities(x, batch.prediction_rows, batch.targets).cpu();
}

at::Tensor Decoder::logits(const PackedBatch& batch) {
  at::NoGradGuard no_grad;
  return state_->head.logits(state_->loss_rows_output(batch));
}

std::vector<std::vector<std::int32_t>> Decoder::generate_greedy(const std::vector<std::vector<std::int32_t>>& prompts,
                                                                std::int64_t max_new_tokens,
                                                                const std::vector<std::int64_t>& eos) {
  at::NoGradGuard no_grad;
  const GreedyModel model{state_->config, state_->weights, state_->blocks, state_->rotary, state_->head};
  return model::generate_greedy(model, prompts, max_new_tokens, eos);
}

}  // namespace allreco::model
