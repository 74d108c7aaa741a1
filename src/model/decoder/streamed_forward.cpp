#include "model/decoder/streamed_forward.h"

#include "core/check.h"
#include "model/decoder/attention_plan.h"
#include "model/decoder/embedding.h"
#include "model/decoder/loss_head.h"
#include "model/decoder/rotary_table.h"

namespace allreco::model {

StreamedForward::StreamedForward(const ModelConfig& config, const LoraStore* lora,
                                 const std::vector<std::int32_t>& tokens)
    : config_(config), lora_(lora) {
  PackedBatchBuilder builder;
  builder.add_example(tokens, 0);
  batch_ = builder.build();
  context_.ropes = RotaryTables(config_, at::kFloat).up_to(batch_.num_tokens());
  context_.all.positions = batch_.positions;
  context_.all.spans = attention_spans(batch_);
}

void StreamedForward::embed(const at::Tensor& embedding) { x_ = model::embed(config_, embedding, batch_.tokens); }

void StreamedForward::layer(const LayerWeights& weights) {
  x_ =
      Block(config_, weights, num_layers_++, lora_, /*gradients=*/nullptr).forward(x_, context_.all, context_, nullptr);
}

at::Tensor StreamedForward::logits(const at::Tensor& final_norm, const at::Tensor& lm_head) const {
  core::require(num_layers_ == config_.num_hidden_layers, "logits before the last layer");
  Weights ends;
  ends.embedding = lm_head;  // of which only the dtype is read
  ends.final_norm = final_norm;
  ends.lm_head = lm_head;
  return LossHead(config_, ends).logits(x_.index_select(0, batch_.logit_rows));
}

}  // namespace allreco::model
