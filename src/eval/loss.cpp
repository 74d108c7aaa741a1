#include "eval/loss.h"

#include <cmath>
#include <limits>

#include "core/check.h"
#include "eval/eval_example.h"

namespace allreco::eval {

double LossResult::mean_nll() const {
  core::require(supervised_tokens > 0, "a mean loss needs supervised tokens");
  return sum_nll / static_cast<double>(supervised_tokens);
}

double LossResult::perplexity() const { return std::exp(mean_nll()); }

std::vector<Chunk> loss_chunks(const data::Dataset& dataset, std::int64_t count, std::int64_t max_tokens_per_batch) {
  return cut_into_chunks(count, max_tokens_per_batch, std::numeric_limits<std::int64_t>::max(),
                         [&](std::int64_t i) { return dataset.length(i); });
}

double chunk_nll(model::Decoder& decoder, const data::Dataset& dataset, const Chunk& chunk) {
  model::PackedBatchBuilder builder;
  for (std::int64_t i = chunk.begin; i < chunk.end; ++i) {
    if (dataset.num_supervised(i) == 0) continue;
    builder.add_example(dataset.tokens(i), dataset.prompt_length(i));
  }
  if (builder.empty()) return 0.0;
  const at::Tensor log_p = decoder.log_probabilities(builder.build());  // float64 [M]
  double nll = 0;
  for (std::int64_t m = 0; m < log_p.numel(); ++m) nll -= log_p.const_data_ptr<double>()[m];
  return nll;
}

LossResult evaluate_loss(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                         std::int64_t max_tokens_per_batch, std::int64_t max_eval_samples) {
  LossResult result{.num_examples = num_to_evaluate(dataset, max_eval_samples)};
  for (std::int64_t i = 0; i < result.num_examples; ++i) result.supervised_tokens += dataset.num_supervised(i);
  if (result.supervised_tokens == 0)
    core::user_error("the split has no supervised token in its {} examples", result.num_examples);

  const std::vector<Chunk> chunks = loss_chunks(dataset, result.num_examples, max_tokens_per_batch);
  std::vector<double> nll(chunks.size(), 0.0);
  for_each_chunk(session, chunks, "loss",
                 [&](std::size_t c, const Chunk& chunk) { nll[c] = chunk_nll(decoder, dataset, chunk); });
  session.all_sum(nll);  // exact: all ranks but one add zero
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    result.sum_nll += nll[c];
    if (!std::isfinite(nll[c]) && !result.first_not_finite) result.first_not_finite = chunks[c];
  }
  return result;
}

}  // namespace allreco::eval
