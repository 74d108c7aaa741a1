#include "model/ops/dynamic_map.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace allreco::model::ops {
namespace {

/// 2^fraction_bits + 1 values from 0.1 to 1 as torch.linspace gives them on x86: from both ends to the middle, each by
/// one fused multiply-add. A plain product and sum gives other last bits in 10 to 40 of the 256 values.
std::vector<float> boundaries(int num_means) {
  const float first = 0.1f, step = (1.0f - first) / static_cast<float>(num_means);
  std::vector<float> values;
  for (int i = 0; i <= num_means; ++i) {
    values.push_back(i < (num_means + 1) / 2 ? std::fma(step, static_cast<float>(i), first)
                                             : std::fma(-step, static_cast<float>(num_means - i), 1.0f));
  }
  return values;
}

}  // namespace

at::Tensor dynamic_map(bool is_signed) {
  constexpr int kMaxExponentBits = 7;
  std::vector<float> values = {0.0f, 1.0f};
  for (int i = 0; i < kMaxExponentBits; ++i) {
    const int num_means = 1 << (is_signed ? i : i + 1);
    const auto power = static_cast<float>(std::pow(10.0, i - (kMaxExponentBits - 1)));
    const std::vector<float> edges = boundaries(num_means);
    for (int j = 0; j < num_means; ++j) {
      const auto k = static_cast<size_t>(j);
      const float mean = (edges[k] + edges[k + 1]) / 2 * power;
      values.push_back(mean);
      if (is_signed) {
        values.push_back(-mean);
      }
    }
  }
  values.resize(256, 0.0f);  // bitsandbytes fills up with zeros; there is nothing to fill
  std::sort(values.begin(), values.end());
  at::Tensor map = at::empty({256}, at::kFloat);
  std::copy(values.begin(), values.end(), map.mutable_data_ptr<float>());
  return map;
}

}  // namespace allreco::model::ops
