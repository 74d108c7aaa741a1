// Loss and perplexity of the supervised tokens of a split.
#pragma once
#include <cstdint>
#include <optional>

#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/chunks.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

struct LossResult {
  double sum_nll = 0;  // nats
  std::int64_t supervised_tokens = 0;
  std::int64_t num_examples = 0;
  std::optional<Chunk> first_not_finite = std::nullopt;  // whose NLL is NaN or infinite
  double mean_nll() const;                               // per supervised token; REQUIRES one
  double perplexity() const;                             // exp(mean_nll)
};

/// Collective; the same result on every rank and for every world size. `max_tokens_per_batch` bounds the tokens of a
/// forward pass (an example that is longer goes alone). `max_eval_samples`: the first so many examples; 0: all.
/// UserError when nothing is supervised.
LossResult evaluate_loss(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                         std::int64_t max_tokens_per_batch, std::int64_t max_eval_samples = 0);

/// The chunks that evaluate_loss sums over, and the NLL of one of them.
std::vector<Chunk> loss_chunks(const data::Dataset& dataset, std::int64_t count, std::int64_t max_tokens_per_batch);
double chunk_nll(model::Decoder& decoder, const data::Dataset& dataset, const Chunk& chunk);

}  // namespace allreco::eval
