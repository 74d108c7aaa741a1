#include "model/decoder/generate.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "core/check.h"
#include "model/decoder/embedding.h"

namespace allreco::model {

namespace {

/// The sequences that still grow, and where the next tokens stand.
struct Running {
  std::vector<std::int64_t> sequences;    // index of each, [S]
  std::vector<std::int64_t> next_tokens;  // [S]
  std::vector<std::int64_t> lengths;      // tokens already in the cache, [S]
};

/// Stores tokens at their sequences' slots and returns the last row's hidden state of each sequence, [S, D].
at::Tensor last_rows_output(const GreedyModel& model, KeyValueCache& cache, const Running& running,
                            const std::vector<std::int64_t>& tokens, const std::vector<std::int64_t>& counts) {
  std::vector<std::int64_t> positions, store_rows, last_rows;
  StreamContext context;
  QueryRows last;
  for (size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t first = running.lengths[i], base = cache.row_of(running.sequences[i], 0);
    const auto q_begin = static_cast<std::int64_t>(positions.size());
    for (std::int64_t p = first; p < first + counts[i]; ++p) {
      positions.push_back(p);
      store_rows.push_back(base + p);
    }
    const auto q_last = static_cast<std::int64_t>(positions.size()) - 1;
    ops::AttentionSpan span{q_begin, counts[i], first, {}};
    if (counts[i] > 1)
      span.keys.push_back({base, counts[i], 0, true});  // a prompt, from position 0
    else
      span.keys.push_back({base, first + 1, 0, false});  // one token after all before it
    context.all.spans.push_back(span);
    last.spans.push_back(
        {static_cast<std::int64_t>(i), 1, first + counts[i] - 1, {{base, first + counts[i], 0, false}}});
    last_rows.push_back(q_last);
  }
  context.ropes = model.rotary.up_to(*std::max_element(positions.begin(), positions.end()) + 1);
  context.cache = &cache;
  const auto on_device = [&](const std::vector<std::int64_t>& values) {
    return at::tensor(values, at::kLong).to(model.weights.device());
  };
  context.all.positions = on_device(positions);
  last.indices = on_device(last_rows);
  last.positions = context.all.positions.index_select(0, last.indices);
  cache.set_store_rows(on_device(store_rows));

  at::Tensor x = embed(model.config, model.weights.embedding, on_device(tokens));  // [T, D]
  for (size_t i = 0; i + 1 < model.blocks.size(); ++i) x = model.blocks[i].forward(x, context.all, context, nullptr);
  return model.blocks.back().forward(x, last, context, nullptr);
}

/// Takes the likeliest next token of each running sequence; those that end leave `running`.
void advance(Running& running, const at::Tensor& logits, const std::vector<std::int64_t>& eos,
             std::int64_t max_new_tokens, std::vector<std::vector<std::int32_t>>& results) {
  const at::Tensor best = at::argmax(logits, 1).cpu();
  Running next;
  for (size_t i = 0; i < running.sequences.size(); ++i) {
    const auto token = best.const_data_ptr<std::int64_t>()[i];
    if (std::find(eos.begin(), eos.end(), token) != eos.end()) continue;
    auto& result = results[static_cast<size_t>(running.sequences[i])];
    result.push_back(static_cast<std::int32_t>(token));
    if (static_cast<std::int64_t>(result.size()) >= max_new_tokens) continue;
    next.sequences.push_back(running.sequences[i]);
    next.next_tokens.push_back(token);
    next.lengths.push_back(running.lengths[i]);
  }
  running = std::move(next);
}

}  // namespace

std::vector<std::vector<std::int32_t>> generate_greedy(const GreedyModel& model,
                                                       const std::vector<std::vector<std::int32_t>>& prompts,
                                                       std::int64_t max_new_tokens,
                                                       const std::vector<std::int64_t>& eos) {
  std::vector<std::vector<std::int32_t>> results(prompts.size());
  if (prompts.empty() || max_new_tokens <= 0) return results;
  Running running;
  std::vector<std::int64_t> tokens, counts;
  std::int64_t capacity = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) core::user_error("prompt {} is empty; there is nothing to continue", i);
    tokens.insert(tokens.end(), prompts[i].begin(), prompts[i].end());
    counts.push_back(static_cast<std::int64_t>(prompts[i].size()));
    capacity = std::max(capacity, counts.back() + max_new_tokens);
    running.sequences.push_back(static_cast<std::int64_t>(i));
    running.lengths.push_back(0);
  }
  KeyValueCache cache(model.config, static_cast<std::int64_t>(prompts.size()), capacity, model.weights.dtype(),
                      model.weights.device());
  while (true) {
    const at::Tensor x = last_rows_output(model, cache, running, tokens, counts);
    for (size_t i = 0; i < counts.size(); ++i) running.lengths[i] += counts[i];
    advance(running, model.head.logits(x), eos, max_new_tokens, results);
    if (running.sequences.empty()) return results;
    tokens = running.next_tokens;
    counts.assign(tokens.size(), 1);
  }
}

}  // namespace allreco::model
