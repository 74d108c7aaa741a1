#include "model/ops/nf4.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "core/check.h"
#include "model/ops/blockwise8.h"
#include "model/ops/blockwise_checks.h"
#include "model/ops/dynamic_map.h"
#include "model/ops/mean.h"
#include "model/ops/nf4_codebook.h"

namespace allreco::model::ops {
namespace {

constexpr const char* kQuantize = "nf4_quantize";
constexpr const char* kDequantize = "nf4_dequantize";

bool is_nf4_dtype(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf; }

void check_values(const at::Tensor& values, std::int64_t blocksize) {
  if (!is_nf4_dtype(values.scalar_type())) {
    core::fault("{}: expected values to be float32, bfloat16 or float16, found {}", kQuantize,
                c10::toString(values.scalar_type()));
  }
  if (!is_nf4_blocksize(blocksize)) {
    core::fault("{}: expected blocksize to be a power of two from 32 to 4096, found {}", kQuantize, blocksize);
  }
  check_blocksize(kQuantize, values, blocksize);
  check_contiguous(kQuantize, "values", values, values.scalar_type(), values.numel(), values.device().type());
}

/// On the CPU, whatever the device: a GPU's sums would have another order, and absmax is small.
void quantize_absmax(Nf4Tensor& nf4) {
  const c10::Device device = nf4.absmax.device();
  at::Tensor absmax = nf4.absmax.cpu();
  nf4.nested_offset = mean_in_fixed_order(absmax);
  if (device.is_cpu()) {
    absmax = absmax.clone();
  }
  absmax.sub_(nf4.nested_offset);
  const at::Tensor map = dynamic_map(true);
  const Blockwise8 nested = blockwise8_quantize(absmax, Map8(map), nf4.nested_blocksize);
  nf4.absmax = nested.codes.to(device);
  nf4.nested_absmax = nested.absmax.to(device);
  nf4.nested_map = map.to(device);
}

void check_parts(const Nf4Tensor& nf4) {
  const std::int64_t n = nf4.num_elements();
  const c10::DeviceType device = nf4.packed.device().type();
  if (!is_nf4_blocksize(nf4.blocksize)) {
    core::fault("{}: expected blocksize to be a power of two from 32 to 4096, found {}", kDequantize, nf4.blocksize);
  }
  check_contiguous(kDequantize, "packed", nf4.packed, at::kByte, (n + 1) / 2, device);
  check_contiguous(kDequantize, "quant_map", nf4.quant_map, at::kFloat, kNumNf4Codes, device);
  check_contiguous(kDequantize, "absmax", nf4.absmax, nf4.is_nested() ? at::kByte : at::kFloat, nf4.num_blocks(),
                   device);
  if (nf4.is_nested()) {
    check_blocksize(kDequantize, nf4.absmax, nf4.nested_blocksize);
    check_contiguous(kDequantize, "nested_absmax", nf4.nested_absmax, at::kFloat,
                     num_blocks_of(nf4.num_blocks(), nf4.nested_blocksize), device);
    check_contiguous(kDequantize, "nested_map", nf4.nested_map, at::kFloat, 256, device);
  }
}

}  // namespace

std::int64_t Nf4Tensor::num_elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

at::Tensor nf4_map() {
  at::Tensor map = at::empty({kNumNf4Codes}, at::kFloat);
  std::copy(std::begin(kNf4Map), std::end(kNf4Map), map.mutable_data_ptr<float>());
  return map;
}

bool is_nf4_blocksize(std::int64_t blocksize) {
  return blocksize >= 32 && blocksize <= 4096 && std::has_single_bit(static_cast<std::uint64_t>(blocksize));
}

Nf4Tensor nf4_quantize(const at::Tensor& values, std::int64_t blocksize, bool double_quant) {
  check_values(values, blocksize);
  Nf4Tensor nf4;
  nf4.blocksize = blocksize;
  nf4.shape = values.sizes().vec();
  nf4.dtype = values.scalar_type();
  nf4.quant_map = nf4_map().to(values.device());
  nf4.packed = at::empty({(values.numel() + 1) / 2, 1}, values.options().dtype(at::kByte));
  nf4.absmax = at::empty({nf4.num_blocks()}, values.options().dtype(at::kFloat));
  values.is_cuda() ? cuda::nf4_quantize_blocks(values, blocksize, nf4.packed, nf4.absmax)
                   : cpu::nf4_quantize_blocks(values, blocksize, nf4.packed, nf4.absmax);
  check_absmax(kQuantize, nf4.absmax, blocksize);
  if (double_quant) {
    quantize_absmax(nf4);
  }
  return nf4;
}

void nf4_dequantize(const Nf4Tensor& nf4, at::Tensor& out, at::ScalarType rounding) {
  check_parts(nf4);
  check_contiguous(kDequantize, "out", out, out.scalar_type(), nf4.num_elements(), nf4.packed.device().type());
  if (!is_nf4_dtype(rounding) || (out.scalar_type() != at::kFloat && out.scalar_type() != rounding)) {
    core::fault(
        "{}: expected values rounded to float32, bfloat16 or float16, stored as that or as float32; found {} "
        "stored as {}",
        kDequantize, c10::toString(rounding), c10::toString(out.scalar_type()));
  }
  out.is_cuda() ? cuda::nf4_dequantize(nf4, out, rounding) : cpu::nf4_dequantize(nf4, out, rounding);
}

}  // namespace allreco::model::ops
