#include "train/clip.h"

#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/check.h"

namespace allreco::train {
namespace {

constexpr std::int64_t kLanes =
    16;  // independent sums: the compiler may keep them in vector registers without reordering

template <class T>
double sum_of_squares(const T* data, std::int64_t count) {
  std::array<double, kLanes> sums{};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const auto x = static_cast<double>(data[i + lane]);
      sums[static_cast<size_t>(lane)] += x * x;
    }
  }
  double total = 0;
  for (; i < count; ++i) total += static_cast<double>(data[i]) * static_cast<double>(data[i]);
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace

double global_norm(const at::Tensor& flat) {
  core::require(flat.is_contiguous(), "global_norm needs a contiguous tensor");
  if (!flat.is_cpu()) return at::linalg_vector_norm(flat, 2, {}, false, at::kDouble).item<double>();
  if (flat.scalar_type() == at::kDouble) return std::sqrt(sum_of_squares(flat.const_data_ptr<double>(), flat.numel()));
  return std::sqrt(sum_of_squares(flat.const_data_ptr<float>(), flat.numel()));
}

bool all_finite(const at::Tensor& flat) {
  // A sum of float32 squares in double does not overflow.
  return !flat.is_floating_point() || flat.numel() == 0 || std::isfinite(global_norm(flat));
}

double clip_factor(double norm, double max_norm) {
  if (max_norm <= 0) return 1.0;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace allreco::train
