// The kernels for AVX2 and FMA.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "model/ops/cpu/kernels.h"
#include "model/ops/nf4_codebook.h"

#pragma GCC target("avx2,fma")
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed only between functions of this file
#define ALLRECO_VECTOR_BYTES 32
// clang-format off
#include "model/ops/cpu/simd.inc"
#include "model/ops/cpu/row_kernels.inc"
#include "model/ops/cpu/gemm.inc"
#include "model/ops/cpu/attention_lanes.inc"
#include "model/ops/cpu/attention_kernels.inc"
#include "model/ops/cpu/nf4_codes.inc"
#include "model/ops/cpu/nf4_kernels.inc"
#include "model/ops/cpu/table.inc"
// clang-format on

namespace allreco::model::ops::cpu {
const KernelTable kAvx2Kernels = make_kernel_table("avx2");
}
