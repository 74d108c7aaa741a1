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
// Of every *_kernels.inc: the tables, outside of the instruction set, then the kernels.
#include "cpu_kernels.inc"

#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed only between functions of this file
#define ALLRECO_VECTOR_BYTES 64
#define ALLRECO_INSTRUCTION_SET avx512
// clang-format off
#include "model/ops/cpu/simd.inc"
#include "model/ops/cpu/functions.inc"
#include "model/ops/cpu/row_loops.inc"
#include "cpu_kernels.inc"
// clang-format on
