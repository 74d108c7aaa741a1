#include "model/ops/checks.h"

#include <fmt/format.h>

#include <string>

#include "core/check.h"

namespace allreco::model::ops {
namespace {

std::string sizes_text(at::IntArrayRef sizes) {
  std::string text = "[";
  for (const std::int64_t size : sizes) {
    text += text.size() > 1 ? ", " : "";
    text += size < 0 ? std::string("any") : std::to_string(size);
  }
  return text + "]";
}

[[noreturn]] void fail(const char* op, const char* name, const at::Tensor& tensor, const std::string& expected) {
  core::fault("{}: expected {} to be {}, found {} {} on {}", op, name, expected, c10::toString(tensor.scalar_type()),
              sizes_text(tensor.sizes()), tensor.device().str());
}

void check(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype, const at::Tensor& like,
           std::initializer_list<std::int64_t> sizes, bool contiguous) {
  bool good = tensor.scalar_type() == dtype && tensor.device() == like.device() &&
              tensor.dim() == static_cast<std::int64_t>(sizes.size());
  std::int64_t dim = 0;
  for (const std::int64_t size : sizes) {
    good = good && (size < 0 || tensor.size(dim) == size);
    ++dim;
  }
  // A last dimension of one element is dense whatever its stride says.
  good = good &&
         (contiguous ? tensor.is_contiguous() : tensor.dim() == 0 || tensor.stride(-1) == 1 || tensor.size(-1) <= 1);
  if (!good) {
    fail(op, name, tensor,
         fmt::format("{} {} on {}, {}", c10::toString(dtype), sizes_text(sizes), like.device().str(),
                     contiguous ? "contiguous" : "the last dimension dense"));
  }
}

}  // namespace

void check_floating(const char* op, const char* name, const at::Tensor& tensor) {
  const at::ScalarType dtype = tensor.scalar_type();
  if (dtype != at::kFloat && dtype != at::kDouble && dtype != at::kBFloat16) {
    fail(op, name, tensor, "float32, float64 or bfloat16");
  }
}

void check_like(const char* op, const char* name, const at::Tensor& tensor, const at::Tensor& like,
                std::initializer_list<std::int64_t> sizes) {
  check(op, name, tensor, like.scalar_type(), like, sizes, false);
}

void check_dense(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                 const at::Tensor& like, std::initializer_list<std::int64_t> sizes) {
  check(op, name, tensor, dtype, like, sizes, true);
}

at::ScalarType accumulate_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace allreco::model::ops
