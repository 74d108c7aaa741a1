// The kernels for AVX2 and FMA.
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

#pragma GCC target("avx2,fma")
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed only between functions of this file
#define ALLRECO_VECTOR_BYTES 32
#define ALLRECO_INSTRUCTION_SET avx2
// clang-format off
#include "model/ops/cpu/simd.inc"
#include "model/ops/cpu/functions.inc"
#include "model/ops/cpu/row_loops.inc"
#include "cpu_kernels.inc"
// clang-format on
