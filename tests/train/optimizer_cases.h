// Tensors and runs for the optimisers' tests.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "train/optimizer.h"

namespace allreco::train {

inline at::Tensor random_tensor(std::int64_t count, core::RandomStream& random, double scale = 1) {
  at::Tensor values = at::empty({count}, at::kFloat);
  for (std::int64_t i = 0; i < count; ++i)
    values.mutable_data_ptr<float>()[i] = static_cast<float>(scale * random.next_normal());
  return values;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return a.to(at::kDouble).sub(b.to(at::kDouble)).abs().max().item<double>();
}

/// Tensors large and small, of two rates, whose blocks end inside and at their borders.
inline std::vector<ParamGroup> mixed_slices(double ratio) {
  std::vector<ParamGroup> slices;
  std::int64_t begin = 0;
  for (const std::int64_t count : {8192, 4096, 5000, 100, 4095, 20480, 4097, 65536}) {
    const std::string name = fmt::format("t{}", slices.size());
    slices.push_back({name, begin, {count}, slices.size() % 3 == 1 ? ratio : 1});
    begin += count;
  }
  return slices;
}

inline std::int64_t size_of(const std::vector<ParamGroup>& slices) {
  return slices.back().begin + slices.back().numel();
}

template <class T>
void run_steps(T& optimizer, std::int64_t count, double learning_rate) {
  core::RandomStream random(9);
  for (int t = 1; t <= 4; ++t) optimizer.step(random_tensor(count, random), learning_rate, 0.7);
}

}  // namespace allreco::train
