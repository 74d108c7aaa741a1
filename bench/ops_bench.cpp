// Time of the CPU ops at shapes of small and of real models, with libtorch's flash attention beside our own.
//   bench_ops [threads] [nf4]  nf4: quantisation alone. One thread: processor time, so that other processes on the
//   machine matter less; more: wall time
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "model/ops/attention.h"
#include "model/ops/cpu/kernels.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/dropout.h"
#include "model/ops/gated_activation.h"
#include "model/ops/nf4.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace allreco::model::ops {
namespace {

double seconds_now() {
  std::timespec time{};
  clock_gettime(at::get_num_threads() > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// The best of at least three runs and half a second.
template <class F>
double best_seconds(const F& f) {
  f();
  double best = 1e30, total = 0;
  for (int runs = 0; total < 0.5 || runs < 3; ++runs) {
    const double begin = seconds_now();
    f();
    const double taken = seconds_now() - begin;
    best = std::min(best, taken), total += taken;
  }
  return best;
}

struct AttentionShape {
  std::int64_t batch, length, heads, kv_heads, head_dim;
  at::ScalarType dtype;
};

void print_attention(const char* who, double flops, double forward, double backward) {
  fmt::print("  {:<9} forward {:9.0f} us {:6.1f} GF/s   backward {:9.0f} us {:6.1f} GF/s\n", who, forward * 1e6,
             flops / forward * 1e-9, backward * 1e6, 2.5 * flops / backward * 1e-9);
}

void bench_attention(const AttentionShape& s) {
  const std::int64_t tokens = s.batch * s.length;
  const auto tensor = [&](std::int64_t heads) { return at::randn({tokens, heads, s.head_dim}, s.dtype); };
  const at::Tensor q = tensor(s.heads), k = tensor(s.kv_heads), v = tensor(s.kv_heads), dout = tensor(s.heads);
  std::vector<AttentionSpan> spans;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    spans.push_back({b * s.length, s.length, 0, {{b * s.length, s.length, 0, true}}});
  }
  const double scale = 1 / std::sqrt(static_cast<double>(s.head_dim));
  const double pairs = 0.5 * static_cast<double>(s.length) * static_cast<double>(s.length + 1);
  const double flops = 4 * pairs * static_cast<double>(s.batch * s.heads * s.head_dim);  // of visible pairs only
  fmt::print("attention batch {} length {} heads {}/{} head_dim {} {}\n", s.batch, s.length, s.heads, s.kv_heads,
             s.head_dim, c10::toString(s.dtype));
  const AttentionOutput output = attention(q, k, v, spans, scale, {});
  print_attention("own", flops, best_seconds([&] { attention(q, k, v, spans, scale, {}); }),
                  best_seconds([&] { attention_backward(dout, q, k, v, output, spans, scale, {}); }));
  const auto view = [&](const at::Tensor& t) {
    return t.view({s.batch, s.length, t.size(1), s.head_dim}).transpose(1, 2);
  };
  const auto flash = [&] {
    return at::_scaled_dot_product_flash_attention_for_cpu(view(q), view(k), view(v), 0.0, true, {}, scale);
  };
  const auto [out, log_sum_exp] = flash();
  const auto flash_backward = [&, &o = out, &lse = log_sum_exp] {
    at::_scaled_dot_product_flash_attention_for_cpu_backward(view(dout), view(q), view(k), view(v), o, lse, 0.0, true,
                                                             {}, scale);
  };
  print_attention("libtorch", flops, best_seconds(flash), best_seconds(flash_backward));
}

/// `passes`: tensors of the shape that the op reads or writes.
template <class F>
void bench_rows(const char* op, const at::Tensor& x, double passes, const F& f) {
  const double seconds = best_seconds(f);
  const auto elements = static_cast<double>(x.numel());
  fmt::print("  {:<22} {:9.0f} us {:6.2f} ns/element {:6.1f} GB/s\n", op, seconds * 1e6, seconds * 1e9 / elements,
             passes * elements * static_cast<double>(x.element_size()) / seconds * 1e-9);
}

void bench_token_ops(std::int64_t tokens, std::int64_t width, at::ScalarType dtype) {
  fmt::print("[{}, {}] {}\n", tokens, width, c10::toString(dtype));
  const at::Tensor weight = at::randn({width}, dtype), dy = at::randn({tokens, width}, dtype);
  const at::Tensor delta = at::randn({tokens, width}, dtype), keys = at::arange(tokens, at::kLong);
  at::Tensor x = at::randn({tokens, width}, dtype), other = at::randn({tokens, width}, dtype);
  const at::Tensor rstd = rms_norm(x, weight, 1e-5).rstd;
  bench_rows("rms_norm", x, 2, [&] { rms_norm(x, weight, 1e-5); });
  bench_rows("rms_norm_backward_add", x, 4, [&] { rms_norm_backward_add(other, dy, x, rstd, weight); });
  bench_rows("add_rms_norm", x, 4, [&] { add_rms_norm(x, delta, weight, 1e-5); });
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    const std::string name = activation == Activation::silu ? "silu" : "gelu_tanh";
    bench_rows(name.c_str(), x, 3, [&] { gated_activation(activation, dy, delta); });
    bench_rows((name + " backward").c_str(), x, 5,
               [&] { gated_activation_backward_in_place(activation, dy, x, other); });
  }
  bench_rows("dropout", x, 2, [&] { dropout(dy, keys, 7, 0.1); });
}

void bench_rope(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, at::ScalarType dtype) {
  fmt::print("[{}, {}, {}] {}\n", tokens, heads, head_dim, c10::toString(dtype));
  at::Tensor x = at::randn({tokens, heads, head_dim}, dtype);
  const at::Tensor angles = at::randn({tokens, head_dim / 2}), positions = at::arange(tokens, at::kLong);
  const at::Tensor cos = angles.cos(), sin = angles.sin();
  bench_rows("rope", x, 2, [&] { rope_in_place(x, positions, cos, sin); });
}

void bench_cross_entropy(std::int64_t rows, std::int64_t vocab, at::ScalarType dtype) {
  fmt::print("[{}, {}] {}\n", rows, vocab, c10::toString(dtype));
  at::Tensor logits = at::randn({rows, vocab}, dtype);
  const at::Tensor targets = at::randint(vocab, {rows}, at::kLong), all = at::arange(rows, at::kLong);
  bench_rows("gather_log_softmax", logits, 1, [&] { gather_log_softmax(logits, all, targets); });
  bench_rows("  soft cap", logits, 1, [&] { gather_log_softmax(logits, all, targets, 30.0); });
  bench_rows("cross_entropy", logits, 3, [&] { cross_entropy_with_gradient(logits, targets, 1e-3); });
  bench_rows("  soft cap", logits, 3, [&] { cross_entropy_with_gradient(logits, targets, 1e-3, 30.0); });
}

/// GB/s of the dense tensor; the copy writes the same output.
void bench_nf4(std::int64_t rows, std::int64_t columns, at::ScalarType dtype) {
  fmt::print("[{}, {}] {}, blocks of 64\n", rows, columns, c10::toString(dtype));
  const at::Tensor x = at::randn({rows, columns}, dtype);
  at::Tensor out = at::empty_like(x), wide = at::empty({rows, columns}, at::kFloat);
  const at::Tensor source = at::randn({rows, columns}, at::kFloat);
  bench_rows("copy of the output", x, 1, [&] { out.copy_(x); });
  for (const bool double_quant : {false, true}) {
    const Nf4Tensor nf4 = nf4_quantize(x, 64, double_quant);
    fmt::print(" {}\n", double_quant ? "double quantisation" : "plain");
    bench_rows("nf4_quantize", x, 1, [&] { nf4_quantize(x, 64, double_quant); });
    bench_rows("nf4_dequantize", x, 1, [&] { nf4_dequantize(nf4, out, dtype); });
    if (dtype != at::kFloat) {
      bench_rows("  copy as float32", source, 1, [&] { wide.copy_(source); });
      bench_rows("  nf4_dequantize", source, 1, [&] { nf4_dequantize(nf4, wide, dtype); });
    }
  }
}

void bench_quantisation() {
  fmt::print("threads {}, kernels for {}\n", at::get_num_threads(), cpu::name_of(cpu::instruction_set()));
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    bench_nf4(2048, 5632, dtype);
  }
}

void bench_all() {
  bench_attention({64, 200, 8, 4, 8, at::kFloat});
  bench_attention({8, 200, 9, 3, 64, at::kBFloat16});
  bench_attention({8, 512, 32, 4, 64, at::kBFloat16});
  bench_attention({1, 4096, 8, 2, 128, at::kBFloat16});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    bench_token_ops(12800, 64, dtype);
    bench_token_ops(1600, 576, dtype);
    bench_rope(12800, 8, 8, dtype);
    bench_rope(4096, 32, 64, dtype);
    bench_cross_entropy(512, 512, dtype);
    bench_cross_entropy(256, 32000, dtype);
    bench_cross_entropy(64, 128256, dtype);
  }
}

}  // namespace
}  // namespace allreco::model::ops

int main(int argc, char** argv) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 1);
  allreco::model::ops::bench_quantisation();
  if (argc > 2 && std::string(argv[2]) == "nf4") {
    return 0;
  }
  allreco::model::ops::bench_all();
  return 0;
}
