// Reading of fixtures and comparing with them, for all tests of this folder.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/check.h"
#include "core/json.h"
#include "model/checkpoint/safetensors.h"

namespace allreco::model::testing {

inline std::filesystem::path fixture(const std::string& relative) {
  return std::filesystem::path(ALLRECO_SOURCE_DIR) / "tests/fixtures" / relative;
}
inline std::filesystem::path golden(const std::string& relative) { return fixture("golden/" + relative); }
/// Tensors keep the mapping alive, so golden_tensors("llama-tiny/io.safetensors").tensor("seq0.logits") is fine.
inline SafetensorsFile golden_tensors(const std::string& relative) { return SafetensorsFile(golden(relative)); }
inline core::Json golden_json(const std::string& relative) { return core::read_json_file(golden(relative)); }

/// Largest absolute difference, in double. Shapes must agree.
inline double max_abs_difference(const at::Tensor& actual, const at::Tensor& expected) {
  core::require(actual.sizes() == expected.sizes(), "tensors to compare have different shapes");
  if (actual.numel() == 0) return 0;
  return (actual.detach().to(at::kDouble) - expected.detach().to(at::kDouble)).abs().max().item<double>();
}

/// |actual - expected| <= tolerance everywhere; the failure names the worst element. NaN fails.
inline ::testing::AssertionResult near(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  if (actual.numel() == 0) return ::testing::AssertionSuccess();
  const at::Tensor a = actual.detach().to(at::kDouble).reshape({-1}),
                   e = expected.detach().to(at::kDouble).reshape({-1});
  const at::Tensor difference = (a - e).abs();
  const auto worst = difference.argmax().item<std::int64_t>();  // NaN counts as the largest
  const double value = difference[worst].item<double>();
  if (value <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "element " << worst << " of " << actual.sizes() << ": "
                                       << a[worst].item<double>() << ", expected " << e[worst].item<double>()
                                       << ", off by " << value << ", tolerance " << tolerance;
}

}  // namespace allreco::model::testing
