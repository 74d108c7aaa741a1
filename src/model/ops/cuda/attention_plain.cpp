// Attention of one piece at a time: matmul, masked softmax, matmul; in float32 at least. The queries of a key-value
// head's group are rows of one product. Legend: K key-value heads, G heads a group, n queries, m keys.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "model/ops/checks.h"
#include "model/ops/cuda/attention_calls.h"

namespace allreco::model::ops::cuda {
namespace {

constexpr std::int64_t kMaxScores = std::int64_t{1} << 26;  // of a tile: 256 MiB in float32

/// [n, K * G, X] -> [K, G * n, X], and back.
at::Tensor by_group(const at::Tensor& t, std::int64_t kv_heads) {
  return t.to(accumulate_dtype(t)).transpose(0, 1).reshape({kv_heads, -1, t.size(2)});
}
at::Tensor by_row(const at::Tensor& t, std::int64_t rows) { return t.reshape({-1, rows, t.size(2)}).transpose(0, 1); }

/// Some queries of a piece, with the packed rows that they and their keys have.
struct Tile {
  std::int64_t q_row, q_length, k_row, k_length;
  AttentionPiece piece;  // relative: hidden_before and the causal end are those of these queries
};

template <class Work>
void for_tiles(const PackedCall& packed, const Work& work) {
  std::int64_t q_row = 0, k_row = 0;
  for (const AttentionPiece& piece : packed.call.pieces) {
    const std::int64_t step = std::max<std::int64_t>(1, kMaxScores / (packed.q.size(1) * piece.k_length));
    for (std::int64_t i = 0; i < piece.q_length; i += step) {
      AttentionPiece part = piece;
      part.q_length = std::min(step, piece.q_length - i);
      if (piece.causal) part.k_length = piece.k_length - piece.q_length + i + part.q_length;
      if (piece.hidden_before) part.hidden_before = *piece.hidden_before + i;
      work(Tile{q_row + i, part.q_length, k_row, part.k_length, part});
    }
    q_row += piece.q_length;
    k_row += piece.k_length;
  }
}

/// True where the key is hidden, bool [n, m]; undefined where nothing is.
at::Tensor hidden_of(const AttentionPiece& piece, const at::Tensor& like) {
  if (!piece.causal && !piece.hidden_before) return {};
  const auto options = like.options().dtype(at::kLong);
  const at::Tensor i = at::arange(piece.q_length, options).unsqueeze(1), j = at::arange(piece.k_length, options);
  at::Tensor hidden;
  if (piece.causal) hidden = j > i + (piece.k_length - piece.q_length);
  if (piece.hidden_before) {
    const at::Tensor before = j <= i + *piece.hidden_before;
    hidden = hidden.defined() ? hidden.logical_or(before) : before;
  }
  return hidden;
}

/// Scaled scores [K, G * n, m], -inf where hidden.
at::Tensor scores_of(const at::Tensor& q, const at::Tensor& k, const Tile& tile, double scale) {
  at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale);
  const at::Tensor hidden = hidden_of(tile.piece, q);
  if (hidden.defined()) {
    scores.view({-1, tile.q_length, tile.k_length}).masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }
  return scores;
}

}  // namespace

AttentionOutput plain_forward(const PackedCall& packed) {
  const at::Tensor& q = packed.q;
  const std::int64_t kv_heads = packed.k.size(1);
  const auto wide = q.options().dtype(accumulate_dtype(q));
  AttentionOutput output{at::empty({q.size(0), q.size(1), q.size(2)}, wide), at::empty({q.size(0), q.size(1)}, wide)};
  for_tiles(packed, [&](const Tile& tile) {
    const at::Tensor q_tile = by_group(q.narrow(0, tile.q_row, tile.q_length), kv_heads);
    const at::Tensor k_tile = by_group(packed.k.narrow(0, tile.k_row, tile.k_length), kv_heads);
    const at::Tensor v_tile = by_group(packed.v.narrow(0, tile.k_row, tile.k_length), kv_heads);
    at::Tensor scores = scores_of(q_tile, k_tile, tile, packed.scale);
    const at::Tensor lse = at::logsumexp(scores, {2}, /*keepdim=*/true);  // [K, G * n, 1]
    // A query that sees nothing has lse -inf: shifted by 0 its weights are exp(-inf) = 0.
    const at::Tensor shift = lse.masked_fill(lse == -std::numeric_limits<double>::infinity(), 0);
    const at::Tensor weights = scores.sub_(shift).exp_();
    output.out.narrow(0, tile.q_row, tile.q_length).copy_(by_row(at::bmm(weights, v_tile), tile.q_length));
    output.log_sum_exp.narrow(0, tile.q_row, tile.q_length).copy_(by_row(lse, tile.q_length).squeeze(2));
  });
  return output;
}

AttentionGradients plain_backward(const PackedCall& packed, const at::Tensor& dout, const AttentionOutput& merged) {
  const at::Tensor& q = packed.q;
  const std::int64_t kv_heads = packed.k.size(1);
  const auto wide = q.options().dtype(accumulate_dtype(q));
  const auto zeros = [&](const at::Tensor& t) { return at::zeros({t.size(0), t.size(1), t.size(2)}, wide); };
  AttentionGradients gradients{zeros(q), zeros(packed.k), zeros(packed.v)};
  for_tiles(packed, [&](const Tile& tile) {
    const auto of_queries = [&](const at::Tensor& t) {
      return by_group(t.narrow(0, tile.q_row, tile.q_length), kv_heads);
    };
    const at::Tensor q_tile = of_queries(q), dout_tile = of_queries(dout), out_tile = of_queries(merged.out);
    const at::Tensor lse = of_queries(merged.log_sum_exp.unsqueeze(2));  // [K, G * n, 1]
    const at::Tensor k_tile = by_group(packed.k.narrow(0, tile.k_row, tile.k_length), kv_heads);
    const at::Tensor v_tile = by_group(packed.v.narrow(0, tile.k_row, tile.k_length), kv_heads);
    const at::Tensor shift = lse.masked_fill(lse == -std::numeric_limits<double>::infinity(), 0);
    const at::Tensor weights = scores_of(q_tile, k_tile, tile, packed.scale).sub_(shift).exp_();  // [K, G * n, m]
    const at::Tensor delta = (dout_tile * out_tile).sum(2, /*keepdim=*/true);
    const at::Tensor dscores = at::bmm(dout_tile, v_tile.transpose(1, 2)).sub_(delta).mul_(weights).mul_(packed.scale);
    gradients.dq.narrow(0, tile.q_row, tile.q_length).copy_(by_row(at::bmm(dscores, k_tile), tile.q_length));
    const auto add = [&](const at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
      sum.narrow(0, tile.k_row, tile.k_length).add_(by_row(at::bmm(left.transpose(1, 2), right), tile.k_length));
    };
    add(gradients.dk, dscores, q_tile);
    add(gradients.dv, weights, dout_tile);
  });
  return gradients;
}

}  // namespace allreco::model::ops::cuda
