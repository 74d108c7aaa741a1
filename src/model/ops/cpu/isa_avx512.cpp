// The kernels for AVX-512.
// GCC 12 takes its own _mm512_undefined_ps for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "model/ops/cpu/kernels.h"
#include "model/ops/nf4_codebook.h"

#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed only between functions of this file
#define ALLRECO_VECTOR_BYTES 64
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
const KernelTable kAvx512Kernels = make_kernel_table("avx512");
}
