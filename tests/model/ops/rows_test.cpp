// RMSNorm, rotary embedding and gated activations against loops in double precision, libtorch's autograd and numeric
// derivatives.
#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "core/check.h"
#include "model/ops/compare.h"
#include "model/ops/dropout.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace allreco::model::ops {
namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};
/// Rows and columns: a single element, less than a vector, not a multiple of one, whole vectors, and enough rows for
/// threads.
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes = {{1, 1},  {3, 7},   {2, 16},
                                                                    {5, 33}, {1, 512}, {70, 576}};

std::string name_of(at::ScalarType dtype, std::int64_t rows, std::int64_t columns) {
  return std::string(c10::toString(dtype)) + " [" + std::to_string(rows) + ", " + std::to_string(columns) + "]";
}

/// A view of a wider tensor: rows are dense, their stride is not their width.
at::Tensor strided_copy(const at::Tensor& t) {
  at::Tensor wide = at::full({t.size(0), t.size(1) + 5}, 1e30, t.options());
  at::Tensor view = wide.narrow(1, 2, t.size(1));
  view.copy_(t);
  return view;
}

double at2(const at::Tensor& t, std::int64_t i, std::int64_t j) { return t[i][j].item<double>(); }

/// Calls f(-1), f(1) with the element moved by -step, step, and returns the central difference.
double numeric_derivative(at::Tensor& x, std::int64_t i, double step, const std::function<double()>& f) {
  double* const value = x.mutable_data_ptr<double>() + i;
  const double kept = *value;
  *value = kept + step;
  const double above = f();
  *value = kept - step;
  const double below = f();
  *value = kept;
  return (above - below) / (2 * step);
}

/// Central differences of sums of up to 100 terms of order 1: truncation step^2 * third derivative, rounding 2^-52 *
/// 100 / step; a factor 10 for the tail.
constexpr double kStep = 1e-5;
constexpr double kNumericTolerance = 10 * (kStep * kStep * 10 + 0x1p-52 * 100 / kStep);

/// rstd as the header defines it, by a plain loop.
double naive_rstd(const at::Tensor& row, double eps) {
  const at::Tensor values = row.to(at::kDouble).contiguous();
  double sum = 0;
  for (std::int64_t j = 0; j < values.numel(); ++j) {
    sum += values.const_data_ptr<double>()[j] * values.const_data_ptr<double>()[j];
  }
  return 1 / std::sqrt(sum / static_cast<double>(values.numel()) + eps);
}

/// Both forms of the weight, and 1 + w or w in double precision.
NormWeight norm_weight(const at::Tensor& weight, bool plus_one) { return {weight, plus_one}; }
at::Tensor factor_of(const NormWeight& weight) { return weight.weight.to(at::kDouble) + (weight.plus_one ? 1.0 : 0.0); }

/// The shapes of all row ops, and heads: many rows of few elements.
std::vector<std::pair<std::int64_t, std::int64_t>> norm_shapes() {
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = kShapes;
  shapes.insert(shapes.end(), {{400, 16}, {300, 24}, {150, 72}, {130, 256}});
  return shapes;
}

/// Calls f(dtype, rows, columns, plus_one, name).
template <class F>
void for_norms(const F& f) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const auto& [rows, columns] : norm_shapes()) {
      for (const bool plus_one : {false, true}) {
        f(dtype, rows, columns, plus_one, name_of(dtype, rows, columns) + (plus_one ? " 1 + w" : " w"));
      }
    }
  }
}

TEST(OpsRmsNorm, ForwardMatchesALoopAndRecomputeGivesItsBits) {
  for_norms([](at::ScalarType dtype, std::int64_t rows, std::int64_t columns, bool plus_one, const std::string& name) {
    const at::Tensor x = normal({rows, columns}, dtype);
    const NormWeight weight = norm_weight(normal({columns}, dtype), plus_one);
    const NormOutput output = rms_norm(x, weight, 1e-5);
    at::Tensor rstd = at::zeros({rows}, at::kDouble);
    for (std::int64_t t = 0; t < rows; ++t) {
      rstd[t].fill_(naive_rstd(x[t], 1e-5));
    }
    // Sums of squares in up to 64 lanes: each lane's error is at most D / 64 units, halved by the root; 4 more for
    // the rest.
    const double units = 4 + static_cast<double>(columns) / 64;
    expect_close(output.rstd, rstd, 0, units * computed_unit(dtype), name + " rstd");
    // y takes two roundings to its type (one with 1 + w, whose sum is rounded in the type computed in, relative to a
    // sum of at most 1 + |w|) and the error of rstd.
    const at::Tensor normalised = x.to(at::kDouble) * rstd.unsqueeze(1);
    const at::Tensor y = normalised * factor_of(weight);
    const double roundings = plus_one ? 0.505 : 1.01;
    const double cancels = plus_one ? computed_unit(dtype) * normalised.abs().max().item<double>() : 0;
    expect_close(output.y, y, cancels, units * computed_unit(dtype) + roundings * unit_of(dtype), name + " y");
    expect_same_bits(rms_norm_recompute(x, output.rstd, weight), output.y, name + " recomputed");
    const NormOutput strided = rms_norm(strided_copy(x), weight, 1e-5);
    expect_same_bits(strided.y, output.y, name + " strided");
  });
}

TEST(OpsRmsNorm, RoundsTheNormalisedValueBeforeTheWeightAsTransformersDoes) {
  const at::Tensor x = normal({40, 96}, at::kBFloat16), weight = normal({96}, at::kBFloat16);
  const NormOutput output = rms_norm(x, weight, 1e-6);
  const at::Tensor normalised = (x.to(at::kFloat) * output.rstd.unsqueeze(1)).to(at::kBFloat16);
  expect_same_bits(output.y, weight * normalised, "y");
}

// Gemma3RMSNorm: (x.float() * rstd * (1.0 + weight.float())).type_as(x).
TEST(OpsRmsNorm, WithPlusOneRoundsOnceAsGemmaDoes) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = normal({40, 96}, dtype), weight = normal({96}, dtype);
    const NormOutput output = rms_norm(x, {weight, true}, 1e-6);
    const at::Tensor normalised = x.to(at::kFloat) * output.rstd.unsqueeze(1);
    expect_same_bits(output.y, (normalised * (weight.to(at::kFloat) + 1)).to(dtype), c10::toString(dtype));
  }
}

TEST(OpsRmsNorm, AddsTheResidualAsItsTypeHoldsIt) {
  for_norms([](at::ScalarType dtype, std::int64_t rows, std::int64_t columns, bool plus_one, const std::string& name) {
    at::Tensor x = normal({rows, columns}, dtype);
    const NormWeight weight = norm_weight(normal({columns}, dtype), plus_one);
    const at::Tensor delta = normal({rows, columns}, dtype), sum = x + delta;
    const NormOutput wanted = rms_norm(sum, weight, 1e-5), found = add_rms_norm(x, delta, weight, 1e-5);
    expect_same_bits(x, sum, name + " x");
    expect_same_bits(found.y, wanted.y, name + " y");
    expect_same_bits(found.rstd, wanted.rstd, name + " rstd");
  });
}

TEST(OpsRmsNorm, BackwardMatchesAutogradAndAddsToDx) {
  for_norms([](at::ScalarType dtype, std::int64_t rows, std::int64_t columns, bool plus_one, const std::string& name) {
    const at::Tensor x = normal({rows, columns}, dtype);
    const NormWeight weight = norm_weight(normal({columns}, dtype), plus_one);
    const at::Tensor dy = normal({rows, columns}, dtype), before = normal({rows, columns}, dtype);
    const at::Tensor x64 = x.to(at::kDouble).clone().requires_grad_(), factor = factor_of(weight);
    const at::Tensor rstd64 = (x64 * x64).mean(-1, true).add(1e-5).rsqrt();
    (x64 * rstd64 * factor).backward(dy.to(at::kDouble));
    at::Tensor dx = strided_copy(before);
    rms_norm_backward_add(dx, strided_copy(dy), strided_copy(x), rms_norm(x, weight, 1e-5).rstd, weight);
    // One rounding to the type; before it, terms of at most rstd * |w dy| (1 + |x|^2 rstd^2) with errors of a dot
    // product of D products.
    const double size = plus_one ? 1 + weight.weight.abs().max().item<double>() : factor.abs().max().item<double>();
    const double term = rstd64.max().item<double>() * size * dy.abs().max().item<double>() *
                        (1 + ((x64 * rstd64).abs().max() * (x64 * rstd64).abs().max()).item<double>());
    const double absolute = (8 + static_cast<double>(columns) / 32) * computed_unit(dtype) * term;
    expect_close(dx, before.to(at::kDouble) + x64.grad(), absolute, unit_of(dtype) / 2, name);
  });
}

TEST(OpsRmsNorm, BackwardMatchesNumericDerivatives) {
  for (const bool plus_one : {false, true}) {
    at::Tensor x = normal({3, 13}, at::kDouble);
    const NormWeight weight = norm_weight(normal({13}, at::kDouble), plus_one);
    const at::Tensor dy = normal({3, 13}, at::kDouble);
    at::Tensor dx = at::zeros({3, 13}, at::kDouble);
    rms_norm_backward_add(dx, dy, x, rms_norm(x, weight, 1e-3).rstd, weight);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double wanted =
          numeric_derivative(x, i, kStep, [&] { return (rms_norm(x, weight, 1e-3).y * dy).sum().item<double>(); });
      EXPECT_NEAR(dx.const_data_ptr<double>()[i], wanted, kNumericTolerance) << i;
    }
  }
}

TEST(OpsRope, RotatesEachPairByItsAngleAndBack) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t head_dim : {2, 8, 16, 24, 32, 64, 128}) {
      const std::int64_t tokens = 9, heads = 3, half = head_dim / 2;
      const at::ScalarType table = dtype == at::kDouble ? at::kDouble : at::kFloat;
      const at::Tensor angles = normal({50, half}, at::kDouble);
      const at::Tensor cos = angles.cos().to(table), sin = angles.sin().to(table);
      const at::Tensor positions = at::randperm(50, at::kLong).narrow(0, 0, tokens).contiguous();
      // Heads 1..3 of 5 in a fused projection: strided rows.
      at::Tensor fused = normal({tokens, 5, head_dim}, dtype);
      const at::Tensor untouched = fused.clone();
      at::Tensor x = fused.narrow(1, 1, heads);
      rope_in_place(x, positions, cos, sin);
      const std::string name = std::string(c10::toString(dtype)) + " head_dim " + std::to_string(head_dim);
      at::Tensor wanted = at::zeros({tokens, heads, head_dim}, at::kDouble);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const std::int64_t p = positions[t].item<std::int64_t>();
        for (std::int64_t h = 0; h < heads; ++h) {
          const at::Tensor head = untouched[t][h + 1].to(at::kDouble);
          for (std::int64_t i = 0; i < half; ++i) {
            const double c = at2(cos, p, i), s = at2(sin, p, i), x1 = head[i].item<double>(),
                         x2 = head[i + half].item<double>();
            wanted[t][h][i].fill_(x1 * c - x2 * s);
            wanted[t][h][i + half].fill_(x2 * c + x1 * s);
          }
        }
      }
      // Two products and a sum in the computed type: 3 half units of |x1| + |x2| < 12; then one rounding.
      const double absolute = 1.5 * computed_unit(dtype) * 12;
      expect_close(x, wanted, absolute, unit_of(dtype) / 2, name);
      expect_same_bits(fused.narrow(1, 0, 1), untouched.narrow(1, 0, 1), name + " the head before");
      expect_same_bits(fused.narrow(1, 4, 1), untouched.narrow(1, 4, 1), name + " the head after");
      rope_in_place(x, positions, cos, sin, true);
      // There and back: two roundings of values up to 12, mixed by the rotation, and tables that are off by half a
      // unit.
      expect_close(x, untouched.narrow(1, 1, heads), 2 * absolute + 2 * unit_of(dtype) * 12, 0, name + " inverse");
    }
  }
}

TEST(OpsRope, InverseIsTheBackward) {
  // <R x, y> = <x, R^-1 y> for all x, y says that R^-1 is the transpose of R. Sums of 64 products of order 1.
  const at::Tensor angles = normal({10, 8}, at::kDouble), positions = at::arange(4, at::kLong);
  const at::Tensor x = normal({4, 1, 16}, at::kDouble), y = normal({4, 1, 16}, at::kDouble);
  at::Tensor rotated = x.clone(), back = y.clone();
  rope_in_place(rotated, positions, angles.cos(), angles.sin());
  rope_in_place(back, positions, angles.cos(), angles.sin(), true);
  EXPECT_NEAR((rotated * y).sum().item<double>(), (x * back).sum().item<double>(), 64 * 10 * 0x1p-52);
  at::Tensor outside = x.clone();
  EXPECT_THROW(rope_in_place(outside, at::full({4}, 10, at::kLong), angles.cos(), angles.sin()), core::Fault);
}

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh};

std::string name_of(Activation activation) { return activation == Activation::silu ? "silu " : "gelu_tanh "; }

/// By libtorch's elementary operations and its tanh; differentiable.
at::Tensor activated(Activation activation, const at::Tensor& x) {
  if (activation == Activation::silu) return x.sigmoid() * x;
  return 0.5 * x * (1 + (std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)).tanh());
}

/// What the rounding of the sigmoid's argument u in the type computed in is worth, relative to a value: u is below 30
/// in size where the sigmoid counts in bfloat16 and float32, and takes 4 half units (silu: it is exact).
double argument_units(Activation activation) { return activation == Activation::silu ? 0 : 2 * 90; }

TEST(OpsGatedActivation, ForwardAndBackwardMatchLibtorch) {
  for (const Activation activation : kActivations) {
    for (const at::ScalarType dtype : kDtypes) {
      for (const auto& [rows, columns] : kShapes) {
        const std::string name = name_of(activation) + name_of(dtype, rows, columns);
        // 20 standard deviations: both tails of the sigmoid. gelu's are nearer.
        const double spread = activation == Activation::silu ? 20 : 3;
        const at::Tensor gate = (normal({rows, columns}, at::kDouble) * spread).to(dtype),
                         up = normal({rows, columns}, dtype);
        const at::Tensor dm = normal({rows, columns}, dtype);
        const at::Tensor g = gate.to(at::kDouble).clone().requires_grad_(),
                         u = up.to(at::kDouble).clone().requires_grad_();
        const at::Tensor wanted = activated(activation, g) * u;
        wanted.backward(dm.to(at::kDouble));
        // exp is good to 2 units (float), a few operations follow; a sigmoid below 2^-126 is taken as 0. One rounding.
        // libtorch's 1 + tanh cancels in the left tail: an absolute error of a unit of double of values below 30.
        const double relative = (8 + argument_units(activation)) * computed_unit(dtype) + unit_of(dtype) / 2;
        const double absolute = activation == Activation::silu ? (dtype == at::kDouble ? 0 : 1e-35) : 100 * 0x1p-52;
        expect_close(gated_activation(activation, gate, up), wanted, absolute, relative, name + " m");
        expect_same_bits(gated_activation(activation, strided_copy(gate), strided_copy(up)),
                         gated_activation(activation, gate, up), name + " strided");
        at::Tensor dgate = strided_copy(gate), dup = strided_copy(up);
        gated_activation_backward_in_place(activation, strided_copy(dm), dgate, dup);
        expect_close(dup, u.grad(), absolute, relative, name + " dup");
        // The slope's terms cancel near its zero: errors relative to them, which are below 1.3 (gelu_tanh: 2).
        const double scale = (dm.abs().max() * up.abs().max()).item<double>();
        expect_close(dgate, g.grad(), (8 + argument_units(activation) / 8) * computed_unit(dtype) * 2 * scale,
                     unit_of(dtype) / 2, name + " dgate");
      }
    }
  }
}

TEST(OpsGatedActivation, BackwardMatchesNumericDerivatives) {
  for (const Activation activation : kActivations) {
    at::Tensor gate = normal({3, 11}, at::kDouble), up = normal({3, 11}, at::kDouble);
    const at::Tensor dm = normal({3, 11}, at::kDouble);
    at::Tensor dgate = gate.clone(), dup = up.clone();
    gated_activation_backward_in_place(activation, dm, dgate, dup);
    const auto loss = [&] { return (gated_activation(activation, gate, up) * dm).sum().item<double>(); };
    for (std::int64_t i = 0; i < gate.numel(); ++i) {
      EXPECT_NEAR(dgate.const_data_ptr<double>()[i], numeric_derivative(gate, i, kStep, loss), kNumericTolerance) << i;
      EXPECT_NEAR(dup.const_data_ptr<double>()[i], numeric_derivative(up, i, kStep, loss), kNumericTolerance) << i;
    }
  }
}

// Where the cube or the square overflows, a value is 0 or the gate itself, and a slope 0 or 1.
TEST(OpsGatedActivation, GeluTakesGatesOfAnySize) {
  const at::Tensor gate = at::tensor({-3e38, -1e20, -40.0, 40.0, 1e20, 3e38}, at::kDouble).unsqueeze(0);
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor one = at::full({1, 6}, 1.0, at::TensorOptions().dtype(dtype)), g = gate.to(dtype);
    at::Tensor dgate = g.clone(), dup = one.clone();
    expect_same_bits(gated_activation(Activation::gelu_tanh, g, one), g.clamp_min(0), "m");
    gated_activation_backward_in_place(Activation::gelu_tanh, one, dgate, dup);
    expect_same_bits(dup, g.clamp_min(0), "dup");
    expect_same_bits(dgate, (g > 0).to(dtype), "dgate");
  }
}

TEST(OpsRows, NumberOfThreadsChangesNoBit) {
  const at::Tensor x = normal({300, 577}, at::kFloat), weight = normal({577}, at::kFloat),
                   dy = normal({300, 577}, at::kFloat);
  const int before = at::get_num_threads();
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const NormOutput norm = rms_norm(x, weight, 1e-5);
    at::Tensor dx = dy.clone(), gate = x.clone(), up = dy.clone();
    rms_norm_backward_add(dx, dy, x, norm.rstd, weight);
    const at::Tensor m = gated_activation(Activation::gelu_tanh, gate, up),
                     dropped = dropout(x, at::arange(300, at::kLong), 1, 0.1);
    gated_activation_backward_in_place(Activation::silu, x, gate, up);
    const std::vector<at::Tensor> all = {norm.y, norm.rstd, dx, m, gate, up, dropped};
    first = first.empty() ? all : first;
    for (std::size_t i = 0; i < all.size(); ++i) {
      expect_same_bits(all[i], first[i],
                       "tensor " + std::to_string(i) + " with " + std::to_string(threads) + " threads");
    }
  }
  at::set_num_threads(before);
}

TEST(OpsRows, EmptyInputsAndWrongOnes) {
  const at::Tensor none = at::zeros({0, 8}, at::kFloat), weight = at::zeros({8}, at::kFloat);
  EXPECT_EQ(rms_norm(none, weight, 1e-5).y.size(0), 0);
  EXPECT_EQ(gated_activation(Activation::silu, none, none).size(0), 0);
  EXPECT_THROW(rms_norm(none, at::zeros({7}, at::kFloat), 1e-5), core::Fault);
  EXPECT_THROW(rms_norm(none.to(at::kHalf), weight.to(at::kHalf), 1e-5), core::Fault);
  EXPECT_THROW(gated_activation(Activation::silu, at::zeros({2, 8}, at::kFloat), at::zeros({8, 2}, at::kFloat).t()),
               core::Fault);
}

}  // namespace
}  // namespace allreco::model::ops
