// The device that the tests of the device path run on: ALLRECO_TEST_DEVICE (cpu or cuda), by default the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <string>

namespace allreco::model::testing {

inline c10::Device test_device() {
  const char* const name = std::getenv("ALLRECO_TEST_DEVICE");
  return c10::Device(std::string(name == nullptr ? "cpu" : name));
}
inline at::Tensor on_device(const at::Tensor& t) { return t.to(test_device()); }

}  // namespace allreco::model::testing
