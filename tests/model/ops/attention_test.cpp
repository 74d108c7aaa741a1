// Attention against a masked softmax over the joined keys in float64 (autograd for its gradients), against numeric
// derivatives and against libtorch's flash attention.
#include "model/ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/check.h"
#include "model/ops/compare.h"
#include "model/ops/test_device.h"

namespace allreco::model::ops {
namespace {

using Window = std::optional<std::int64_t>;
enum class Path { kernels, device };  // the CPU kernels, or ops/cuda on the device of the tests
using model::testing::on_device;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A packed example: keys and queries are the same rows.
AttentionSpan whole(std::int64_t begin, std::int64_t length) { return {begin, length, 0, {{begin, length, 0, true}}}; }

/// A branch of `length` rows from row `begin` on, after the first `shared` rows of the example at row `parent`.
AttentionSpan branch(std::int64_t begin, std::int64_t length, std::int64_t parent, std::int64_t shared) {
  return {begin, length, shared, {{parent, shared, 0, false}, {begin, length, shared, true}}};
}

/// Additive mask [Tq, Tk]: 0 where the header's words say that the query sees the key, else -inf.
at::Tensor mask_of(const std::vector<AttentionSpan>& spans, std::int64_t num_queries, std::int64_t num_keys,
                   Window window) {
  at::Tensor mask = at::full({num_queries, num_keys}, -kInfinity, at::kDouble);
  auto cell = mask.accessor<double, 2>();
  for (const AttentionSpan& span : spans) {
    for (std::int64_t i = 0; i < span.q_length; ++i) {
      for (const KeyRange& range : span.keys) {
        for (std::int64_t j = 0; j < (range.causal ? i + 1 : range.length); ++j) {
          const bool inside = !window || range.first_position + j > span.q_first_position + i - *window;
          if (inside) {
            cell[span.q_begin + i][range.begin + j] = 0;
          }
        }
      }
    }
  }
  return mask;
}

struct Reference {
  at::Tensor out, log_sum_exp, weights;  // weights [H, Tq, Tk]
};

/// Everything in float64 with libtorch's elementary operations; differentiable.
Reference reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                    double scale) {
  const std::int64_t group = q.size(1) / k.size(1);
  const at::Tensor keys = k.repeat_interleave(group, 1), values = v.repeat_interleave(group, 1);
  const at::Tensor scores = at::einsum("ihe,jhe->hij", {q, keys}) * scale + mask;
  const at::Tensor blind = (mask == -kInfinity).all(1, true);  // queries that see nothing: weights 0
  const at::Tensor weights = scores.masked_fill(blind, 0).softmax(-1).masked_fill(blind, 0);
  return {at::einsum("hij,jhe->ihe", {weights, values}), scores.logsumexp(-1).transpose(0, 1), weights};
}

struct Case {
  std::int64_t heads, kv_heads, head_dim, num_queries, num_keys;
  std::vector<AttentionSpan> spans;
  Window window;
  std::optional<double> scale = {};  // 1 / sqrt(head_dim)
};

std::string name_of(const Case& c, at::ScalarType dtype) {
  return std::string(c10::toString(dtype)) + " heads " + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) +
         " head_dim " + std::to_string(c.head_dim) + " rows " + std::to_string(c.num_queries) + " window " +
         (c.window ? std::to_string(*c.window) : "none");
}

double largest(const at::Tensor& t) { return t.detach().abs().max().item<double>(); }

/// Bounds, in units of the type computed in (float32 or float64). Let S be the largest |score|, E the head dimension, N
/// the keys. Rounding the products, the partial sums and exp's argument changes a score by up to about 4 S units, and
/// so a weight relatively; sums over E and over N add about sqrt(E) and sqrt(N) units (a random walk): `steps` in all.
/// A query's weights sum to 1, so out and dq err by `steps` units of the largest value they average (v; or the score's
/// gradient, at most twice G = the largest |dout . v|, times scale * k). Those of a key sum to `seen` over the queries:
/// dk and dv take that factor. Results are rounded once to their type. delta = sum over e of dout * out takes the
/// rounded out: half a unit of sum over e of |dout * out|.
/// Flash attention on a GPU also rounds the weights and the scores' gradients to bfloat16 before it multiplies them:
/// half a unit of them, `weight_rounding`.
void check_case_of(const Case& c, at::ScalarType dtype, Path path) {
  const std::string name = name_of(c, dtype) + (path == Path::kernels ? "" : ", device path");
  const double scale = c.scale.value_or(1 / std::sqrt(static_cast<double>(c.head_dim)));
  const at::Tensor q = normal({c.num_queries, c.heads, c.head_dim}, dtype);
  const at::Tensor k = normal({c.num_keys, c.kv_heads, c.head_dim}, dtype);
  const at::Tensor v = normal({c.num_keys, c.kv_heads, c.head_dim}, dtype);
  const at::Tensor dout = normal({c.num_queries, c.heads, c.head_dim}, dtype);
  AttentionOutput found;
  AttentionGradients gradients;
  if (path == Path::kernels) {
    found = attention(q, k, v, c.spans, scale, c.window);
    gradients = attention_backward(dout, q, k, v, found, c.spans, scale, c.window);
  } else {
    const at::Tensor qd = on_device(q), kd = on_device(k), vd = on_device(v);
    found = cuda::attention(qd, kd, vd, c.spans, scale, c.window);
    gradients = cuda::attention_backward(on_device(dout), qd, kd, vd, found, c.spans, scale, c.window);
    found = {found.out.cpu(), found.log_sum_exp.cpu()};
    gradients = {gradients.dq.cpu(), gradients.dk.cpu(), gradients.dv.cpu()};
  }

  const auto leaf = [](const at::Tensor& t) { return t.to(at::kDouble).clone().requires_grad_(); };
  const at::Tensor q64 = leaf(q), k64 = leaf(k), v64 = leaf(v), dout64 = dout.to(at::kDouble);
  const Reference wanted = reference(q64, k64, v64, mask_of(c.spans, c.num_queries, c.num_keys, c.window), scale);
  wanted.out.backward(dout64);

  const double computed = computed_unit(dtype), rounded = unit_of(dtype) / 2;
  const std::int64_t group = c.heads / c.kv_heads;
  const double score =
      std::max(1.0, largest(at::einsum("ihe,jhe->hij", {q64, k64.repeat_interleave(group, 1)})) * scale);
  const double dweight = largest(at::einsum("ihe,jhe->hij", {dout64, v64.repeat_interleave(group, 1)}));
  const double seen = std::max(1.0, largest(wanted.weights.sum(1)) * static_cast<double>(group));
  const double steps =
      4 * score + std::sqrt(static_cast<double>(c.head_dim)) + std::sqrt(static_cast<double>(c.num_keys * group));
  const bool flash = path == Path::device && dtype == at::kBFloat16 && model::testing::test_device().is_cuda();
  const double weight_rounding = flash ? rounded : 0;
  const double walk = steps * computed + weight_rounding;
  const double delta = rounded * largest((dout64 * wanted.out).detach().abs().sum(-1));
  const double dscore = 2 * walk * dweight + delta;
  expect_close(found.out, wanted.out, walk * largest(v64), rounded, name + " out");
  expect_close(found.log_sum_exp, wanted.log_sum_exp, walk, computed, name + " log_sum_exp");
  expect_close(gradients.dq, q64.grad(), dscore * scale * largest(k64), rounded, name + " dq");
  expect_close(gradients.dk, k64.grad(), dscore * scale * largest(q64) * seen, rounded, name + " dk");
  expect_close(gradients.dv, v64.grad(), walk * largest(dout64) * seen, rounded, name + " dv");
}

void check_case(const Case& c, at::ScalarType dtype) {
  check_case_of(c, dtype, Path::kernels);
  check_case_of(c, dtype, Path::device);
}

/// Packed examples of awkward lengths, one of them longer than several tiles.
std::vector<AttentionSpan> packed_spans() {
  return {whole(0, 1), whole(1, 7), whole(8, 65), whole(73, 130), whole(203, 48)};
}
constexpr std::int64_t kPackedRows = 251;

TEST(OpsAttention, PackedExamplesMatchTheReferenceForAllHeadShapes) {
  const std::pair<std::int64_t, std::int64_t> head_counts[] = {{2, 2}, {4, 2}, {4, 1}, {8, 1}, {9, 3}};
  int turn = 0;
  for (const std::int64_t head_dim : {8, 16, 24, 32, 64, 72, 128, 256, 4, 10}) {
    for (const auto& [heads, kv_heads] : head_counts) {
      const at::ScalarType dtype = turn++ % 2 ? at::kBFloat16 : at::kFloat;
      check_case({heads, kv_heads, head_dim, kPackedRows, kPackedRows, packed_spans(), {}}, dtype);
    }
    check_case({2, 1, head_dim, kPackedRows, kPackedRows, packed_spans(), {}}, at::kDouble);
  }
}

TEST(OpsAttention, WindowsOfAllKinds) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const std::int64_t window : {1, 2, 7, 48, 63, 64, 100, 129, 130, 5000}) {
      check_case({4, 2, 16, kPackedRows, kPackedRows, packed_spans(), window}, dtype);
      // Branches whose window covers all, part or nothing of the shared part.
      check_case({4, 2, 16, 230, 230, {whole(0, 140), branch(140, 20, 0, 140), branch(160, 70, 0, 66)}, window}, dtype);
    }
  }
}

// Gemma's: large and odd heads, a scale that is not their dimension's, and windows in some layers.
TEST(OpsAttention, WindowAndScaleAreTheCalls) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const std::int64_t head_dim : {24, 32, 256}) {
      for (const Window window : {Window(), Window(8), Window(64)}) {
        check_case({4, 1, head_dim, kPackedRows, kPackedRows, packed_spans(), window, 1 / std::sqrt(168.0)}, dtype);
      }
    }
  }
}

TEST(OpsAttention, BranchesShareAPrefixForwardAndBackward) {
  std::vector<AttentionSpan> spans = {whole(0, 90)};
  for (std::int64_t i = 0; i < 6; ++i) {
    spans.push_back(branch(90 + 11 * i, 11, 0, 40 + 10 * i));
  }
  spans.push_back(whole(156, 30));
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    check_case({8, 1, 8, 186, 186, spans, {}}, dtype);
    check_case({6, 3, 64, 186, 186, spans, {}}, dtype);
    check_case({4, 4, 32, 186, 186, spans, 50}, dtype);
  }
}

TEST(OpsAttention, BranchesOffBranchesSeeTheirWholePath) {
  const KeyRange trunk{0, 70, 0, false}, first{90, 8, 70, false}, second{110, 1, 78, false}, third{120, 17, 79, false};
  const std::vector<AttentionSpan> spans = {whole(0, 90),
                                            {90, 20, 70, {trunk, {90, 20, 70, true}}},
                                            {110, 1, 78, {trunk, first, second}},
                                            {111, 9, 78, {trunk, first, {111, 9, 78, true}}},
                                            {120, 17, 79, {trunk, first, second, {120, 17, 79, true}}},
                                            {137, 6, 96, {trunk, first, second, third, {137, 6, 96, true}}},
                                            {143, 30, 96, {trunk, first, second, third, {143, 30, 96, true}}}};
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const Window window : {Window(), Window(3), Window(20), Window(60)}) {
      check_case({4, 2, 16, 173, 173, spans, window}, dtype);
    }
  }
}

/// Branches of two prompts that take turns, of one to three rows: more lanes than a task of the CPU's forward has, some
/// seeing a little more or less of their prompt than the others, some far less.
TEST(OpsAttention, HundredsOfBranchesOfAPrompt) {
  std::vector<AttentionSpan> spans = {whole(0, 90), whole(90, 70)};
  std::int64_t rows = 160;
  for (std::int64_t i = 0; i < 300; ++i) {
    const std::int64_t length = 1 + i % 3, parent = i % 2 == 0 ? 0 : 90;
    spans.push_back(branch(rows, length, parent, i % 10 == 7 ? 5 : i % 4 == 1 ? 69 : 70));
    rows += length;
  }
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    check_case({8, 1, 16, rows, rows, spans, {}}, dtype);
    check_case({3, 1, 8, rows, rows, spans, 40}, dtype);
  }
}

TEST(OpsAttention, QueriesMayBeFewerThanKeys) {
  // As the last block asks: runs of rows of a stream, with the rows before them as full ranges; a row without a span;
  // and one that sees nothing.
  const std::vector<AttentionSpan> spans = {{0, 1, 99, {{0, 100, 0, false}}},
                                            {1, 5, 30, {{100, 30, 0, false}, {130, 5, 30, true}}},
                                            {7, 3, 500, {{0, 60, 0, false}}}};
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    check_case({4, 2, 16, 10, 160, spans, {}}, dtype);
    check_case({4, 2, 16, 10, 160, spans, 20}, dtype);  // the third span's queries see nothing
  }
}

TEST(OpsAttention, StridedInputsGiveTheBitsOfDenseOnes) {
  const std::int64_t heads = 4, kv_heads = 2, head_dim = 16;
  const at::Tensor fused = normal({kPackedRows, heads + 2 * kv_heads, head_dim}, at::kFloat);
  const at::Tensor q = fused.narrow(1, 0, heads), k = fused.narrow(1, heads, kv_heads),
                   v = fused.narrow(1, heads + kv_heads, kv_heads);
  const at::Tensor dout = normal({heads, kPackedRows, head_dim}, at::kFloat).transpose(0, 1);
  const AttentionOutput strided = attention(q, k, v, packed_spans(), 0.25, 70);
  const AttentionOutput dense = attention(q.contiguous(), k.contiguous(), v.contiguous(), packed_spans(), 0.25, 70);
  expect_same_bits(strided.out, dense.out, "out");
  expect_same_bits(strided.log_sum_exp, dense.log_sum_exp, "log_sum_exp");
  const AttentionGradients a = attention_backward(dout, q, k, v, strided, packed_spans(), 0.25, 70);
  const AttentionGradients b = attention_backward(dout.contiguous(), q.contiguous(), k.contiguous(), v.contiguous(),
                                                  dense, packed_spans(), 0.25, 70);
  expect_same_bits(a.dq, b.dq, "dq");
  expect_same_bits(a.dk, b.dk, "dk");
  expect_same_bits(a.dv, b.dv, "dv");
}

TEST(OpsAttention, NumberOfThreadsChangesNoBit) {
  std::vector<AttentionSpan> spans = {whole(0, 700), branch(700, 30, 0, 500), branch(730, 9, 0, 700), whole(739, 200)};
  const at::Tensor q = normal({939, 6, 16}, at::kFloat), k = normal({939, 2, 16}, at::kFloat),
                   v = normal({939, 2, 16}, at::kFloat);
  const at::Tensor dout = normal({939, 6, 16}, at::kFloat);
  const int before = at::get_num_threads();
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const AttentionOutput output = attention(q, k, v, spans, 0.25, {});
    const AttentionGradients gradients = attention_backward(dout, q, k, v, output, spans, 0.25, {});
    const std::vector<at::Tensor> all = {output.out, output.log_sum_exp, gradients.dq, gradients.dk, gradients.dv};
    first = first.empty() ? all : first;
    for (std::size_t i = 0; i < all.size(); ++i) {
      expect_same_bits(all[i], first[i],
                       "tensor " + std::to_string(i) + " with " + std::to_string(threads) + " threads");
    }
  }
  at::set_num_threads(before);
}

TEST(OpsAttention, GradientsMatchNumericDerivatives) {
  const std::vector<AttentionSpan> spans = {whole(0, 6), branch(6, 4, 0, 5), whole(10, 3)};
  const std::int64_t rows = 13;
  for (const Window window : {Window(), Window(4)}) {
    at::Tensor inputs[] = {normal({rows, 4, 8}, at::kDouble), normal({rows, 2, 8}, at::kDouble),
                           normal({rows, 2, 8}, at::kDouble)};
    const at::Tensor dout = normal({rows, 4, 8}, at::kDouble);
    const auto loss = [&] {
      return (attention(inputs[0], inputs[1], inputs[2], spans, 0.4, window).out * dout).sum().item<double>();
    };
    const AttentionOutput output = attention(inputs[0], inputs[1], inputs[2], spans, 0.4, window);
    const AttentionGradients gradients =
        attention_backward(dout, inputs[0], inputs[1], inputs[2], output, spans, 0.4, window);
    const at::Tensor analytic[] = {gradients.dq, gradients.dk, gradients.dv};
    // Central differences: truncation step^2 * third derivative (order 10), rounding 2^-52 * loss (order 100) / step.
    const double step = 1e-5, tolerance = 10 * (step * step * 10 + 0x1p-52 * 100 / step);
    for (int which = 0; which < 3; ++which) {
      double* const value = inputs[which].mutable_data_ptr<double>();
      for (std::int64_t i = 0; i < inputs[which].numel(); ++i) {
        const double kept = value[i];
        value[i] = kept + step;
        const double above = loss();
        value[i] = kept - step;
        const double below = loss();
        value[i] = kept;
        EXPECT_NEAR(analytic[which].const_data_ptr<double>()[i], (above - below) / (2 * step), tolerance)
            << which << " " << i;
      }
    }
  }
}

TEST(OpsAttention, AgreesWithLibtorchsFlashAttention) {
  // Both compute in float32; check_case derives the bounds: S is 6, N 150 * 3, |v|, |k| and |dout| below 5, G below 30,
  // `seen` below 30.
  const std::int64_t length = 150, heads = 6, head_dim = 32;
  const at::Tensor q = normal({length, heads, head_dim}, at::kFloat), k = normal({length, 2, head_dim}, at::kFloat);
  const at::Tensor v = normal({length, 2, head_dim}, at::kFloat), dout = normal({length, heads, head_dim}, at::kFloat);
  const auto view = [](const at::Tensor& t) { return t.transpose(0, 1).unsqueeze(0); };
  const auto back = [](const at::Tensor& t) { return t.squeeze(0).transpose(0, 1); };
  const auto [out, lse] =
      at::_scaled_dot_product_flash_attention_for_cpu(view(q), view(k), view(v), 0.0, true, {}, 0.2);
  const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      view(dout), view(q), view(k), view(v), out, lse, 0.0, true, {}, 0.2);
  const AttentionOutput found = attention(q, k, v, {whole(0, length)}, 0.2, {});
  const AttentionGradients gradients = attention_backward(dout, q, k, v, found, {whole(0, length)}, 0.2, {});
  const double walk = 2 * (4 * 6 + std::sqrt(32.0) + std::sqrt(450.0)) * 0x1p-23;
  expect_close(found.out, back(out), walk * 5, 0, "out");
  expect_close(found.log_sum_exp, lse.squeeze(0).transpose(0, 1), walk, 0x1p-23, "log_sum_exp");
  expect_close(gradients.dq, back(dq), 2 * walk * 30 * 0.2 * 5, 0, "dq");
  expect_close(gradients.dk, back(dk), 2 * walk * 30 * 0.2 * 5 * 30, 0, "dk");
  expect_close(gradients.dv, back(dv), walk * 5 * 30, 0, "dv");
}

TEST(OpsAttention, ExtremeScoresStayFiniteAndNaNsShow) {
  // Scores of +-10^4 and of equal huge values: the softmax is a one-hot or uniform, never NaN; a NaN in the input is
  // not hidden.
  const at::Tensor q = at::full({70, 1, 8}, 100.0, at::kFloat), v = normal({70, 1, 8}, at::kFloat);
  at::Tensor k = at::zeros({70, 1, 8}, at::kFloat);
  k[3].fill_(12.5), k[9].fill_(-12.5);
  const AttentionOutput output = attention(q, k, v, {whole(0, 70)}, 1.0, {});
  expect_close(output.out[69], v[3], 0, 0x1p-22, "one-hot");
  EXPECT_NEAR(output.log_sum_exp[69][0].item<double>(), 1e4, 1e4 * 0x1p-22);
  const AttentionGradients gradients = attention_backward(v, q, k, v, output, {whole(0, 70)}, 1.0, {});
  EXPECT_TRUE(gradients.dq.isfinite().all().item<bool>() && gradients.dk.isfinite().all().item<bool>());
  k[5].fill_(std::nan(""));
  const at::Tensor spoiled = attention(q, k, v, {whole(0, 70)}, 1.0, {}).out;
  EXPECT_TRUE(spoiled.narrow(0, 0, 5).isfinite().all().item<bool>());
  EXPECT_TRUE(spoiled.narrow(0, 5, 65).isnan().all().item<bool>());
}

TEST(OpsAttention, WrongArgumentsAreFaults) {
  const at::Tensor q = normal({8, 4, 8}, at::kFloat), k = normal({8, 2, 8}, at::kFloat);
  const auto call = [&](const at::Tensor& keys, const AttentionSpan& span, Window window) {
    attention(q, keys, keys, {span}, 1.0, window);
  };
  EXPECT_NO_THROW(call(k, whole(0, 8), {}));
  EXPECT_THROW(call(k, whole(1, 8), {}), core::Fault);                                 // leaves the rows
  EXPECT_THROW(call(k, {0, 4, 0, {{0, 5, 0, true}}}, {}), core::Fault);                // causal of another length
  EXPECT_THROW(call(k, {0, 4, 0, {}}, {}), core::Fault);                               // no keys
  EXPECT_THROW(call(k, whole(0, 8), 0), core::Fault);                                  // empty window
  EXPECT_THROW(call(normal({8, 3, 8}, at::kFloat), whole(0, 8), {}), core::Fault);     // 4 heads over 3
  EXPECT_THROW(call(k.to(at::kDouble), whole(0, 8), {}), core::Fault);                 // another dtype
  EXPECT_THROW(attention(q, k, k, {whole(0, 5), whole(4, 4)}, 1.0, {}), core::Fault);  // a row in two spans
}

}  // namespace
}  // namespace allreco::model::ops
