// NF4 (QLoRA, Dettmers et al. 2023) exactly as bitsandbytes 0.50 keeps it: a tensor, flattened row by row, is cut into
// blocks; each keeps its largest absolute value (absmax, float32) and a code of 4 bits an element, the nearest of 16
// quantiles of a normal distribution to x * (1 / absmax). Double quantisation keeps absmax itself as 8-bit codes
// (ops/blockwise8.h) of absmax - mean(absmax).
// The bits depend neither on device, instruction set nor number of threads; docs/numerics.md says where bitsandbytes'
// own backends differ from one another.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// The blocks of absmax that are quantised together: bitsandbytes knows no other size.
inline constexpr std::int64_t kNestedBlocksize = 256;

/// One tensor in NF4. All tensors are contiguous and on one device. n: elements of `shape`; blocks: n / blocksize,
/// rounded up.
struct Nf4Tensor {
  at::Tensor packed;         // uint8 [(n + 1) / 2, 1]; element 2i in the high nibble, an odd n is filled up with code 7
  at::Tensor absmax;         // float32 [blocks]; with double quantisation uint8 [blocks]
  at::Tensor nested_absmax;  // float32 [blocks / nested_blocksize, rounded up]; undefined without double quantisation
  at::Tensor nested_map;     // float32 [256]: what the codes of absmax mean; undefined without double quantisation
  float nested_offset = 0;   // added to every decoded absmax
  std::int64_t blocksize = 64;
  std::int64_t nested_blocksize = kNestedBlocksize;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype = at::kFloat;  // of the tensor that was quantised
  at::Tensor quant_map;               // float32 [16]: what the codes mean; a checkpoint brings its own

  bool is_nested() const { return nested_absmax.defined(); }
  std::int64_t num_elements() const;
  std::int64_t num_blocks() const { return (num_elements() + blocksize - 1) / blocksize; }
};

/// bitsandbytes' table, float32 [16] on the CPU.
at::Tensor nf4_map();

/// A power of two from 32 to 4096, as bitsandbytes allows.
bool is_nf4_blocksize(std::int64_t blocksize);

/// `values`: float32, bfloat16 or float16, contiguous, on the CPU or a GPU (there aligned to 16 bytes). The same bits
/// on both. An infinity or a NaN is a UserError that names the block: bitsandbytes takes it without a word, and the
/// block then dequantises to NaNs and infinities. A block of zeros has codes 7 (zero) and absmax 0; a shorter last
/// block of zeros has absmax 1e-38, as bitsandbytes' CPU code has it.
Nf4Tensor nf4_quantize(const at::Tensor& values, std::int64_t blocksize, bool double_quant);

/// out[i] = quant_map[code of i] * absmax of its block, in float32, rounded to `rounding` and then stored as out's
/// dtype (which must hold it: so a bfloat16 value can be had as float32, for processors whose products are float32).
/// `out`: float32, bfloat16 or float16, contiguous, n elements, on the device of `nf4`. A Fault when the parts of `nf4`
/// do not fit one another.
void nf4_dequantize(const Nf4Tensor& nf4, at::Tensor& out, at::ScalarType rounding);

ALLRECO_BOTH_BACKENDS(nf4_dequantize)

/// The codes of all blocks, and their absmax before double quantisation.
namespace cpu {
void nf4_quantize_blocks(const at::Tensor& values, std::int64_t blocksize, at::Tensor& packed, at::Tensor& absmax);
}
namespace cuda {
void nf4_quantize_blocks(const at::Tensor& values, std::int64_t blocksize, at::Tensor& packed, at::Tensor& absmax);
}

}  // namespace allreco::model::ops
