// The innermost CPU loops behind plain pointers, compiled once per instruction set (isa_*.cpp) and chosen once per
// process. One row, or one attention task, per call: the caller spreads calls over threads, so no result depends on the
// number of threads.
#pragma once
#include <cstdint>
#include <type_traits>

namespace allreco::model::ops::cpu {

/// bfloat16 as its bits: the same layout as c10::BFloat16, without its header in the instruction-set files.
struct Bf16 {
  std::uint16_t bits;
};

/// float16 as its bits.
struct Half {
  std::uint16_t bits;
};

/// The type in which sums and functions of T are computed.
template <class T>
using AccumulatorOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Query lanes of an attention block, and keys of a tile: the tile of scores (12 KiB in float32) stays in the
/// first-level cache.
inline constexpr std::int64_t kMaxBlockLanes = 48;
inline constexpr std::int64_t kKeyTile = 64;

/// Packed rows of keys and values are padded with zeros to a multiple of 8 elements.
constexpr std::int64_t padded_head_dim(std::int64_t head_dim) { return (head_dim + 7) / 8 * 8; }

/// Scratch elements that an attention kernel needs.
constexpr std::int64_t attention_scratch_size(std::int64_t head_dim) {
  return kMaxBlockLanes * (6 * padded_head_dim(head_dim) + 2 * kKeyTile + 8);
}

/// One key range of a span inside the packed keys.
struct PackedRange {
  std::int64_t packed_begin = 0;
  std::int64_t length = 0;
  std::int64_t first_position = 0;
  bool causal = false;
};

/// Rows of a tensor [rows, heads, head_dim] with a dense last dimension; `data` points at the first row and head that
/// count.
template <class T>
struct HeadRows {
  T* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t head_stride = 0;
};

/// The queries of a span that share one key-value head. Lane l is query l / group, head l % group of the group.
template <class T>
struct AttentionTask {
  using Acc = AccumulatorOf<T>;
  HeadRows<const T> q, dout, out_in;  // dout and out_in: backward only
  HeadRows<T> out;                    // the result: out in forward, dq in backward
  HeadRows<Acc> log_sum_exp;          // head_dim 1; written in forward, read in backward
  std::int64_t group = 1;
  std::int64_t head_dim = 0;
  std::int64_t first_lane = 0;
  std::int64_t num_lanes = 0;
  std::int64_t q_first_position = 0;
  std::int64_t window = 0;  // 0: none
  double scale = 1;
  const PackedRange* ranges = nullptr;
  std::int64_t num_ranges = 0;
  const Acc* k = nullptr;  // packed [keys, padded_head_dim]
  const Acc* v = nullptr;
  Acc* dk = nullptr;  // added to; backward only
  Acc* dv = nullptr;
  Acc* scratch = nullptr;  // attention_scratch_size elements, 64-byte aligned
};

template <class T>
struct Kernels {
  using Acc = AccumulatorOf<T>;
  using Index = std::int64_t;
  /// x += delta first, unless delta is null; then y. Returns rstd.
  Acc (*rms_norm)(T* y, T* x, const T* delta, const T* weight, Index n, double eps);
  void (*rms_norm_recompute)(T* y, const T* x, Acc rstd, const T* weight, Index n);
  void (*rms_norm_backward_add)(T* dx, const T* dy, const T* x, Acc rstd, const T* weight, Index n);
  /// One token: `heads` heads of 2 * half elements, rotated by the angles of `cos` and `sign` * `sin`.
  void (*rope)(T* x, Index heads, Index head_stride, Index half, const Acc* cos, const Acc* sin, Acc sign);
  void (*swiglu)(T* m, const T* gate, const T* up, Index n);
  void (*swiglu_backward)(const T* dm, T* gate, T* up, Index n);
  /// Keeps element j if hash(seed, j) < threshold.
  void (*dropout)(T* y, const T* x, Index n, std::uint64_t seed, std::uint32_t threshold, Acc scale);
  double (*log_sum_exp)(const T* x, Index n);
  /// x = scale * exp(x - log_sum_exp)
  void (*scaled_softmax)(T* x, Index n, Acc log_sum_exp, Acc scale);
  void (*pack_rows)(Acc* packed, const T* rows, Index num_rows, Index row_stride, Index head_dim);
  void (*unpack_rows)(T* rows, const Acc* packed, Index num_rows, Index row_stride, Index head_dim, Acc scale);
  void (*attention)(const AttentionTask<T>& task);
  void (*attention_backward)(const AttentionTask<T>& task);
};

/// NF4 of whole blocks. blocksize: a power of two, at least 32. T: float, Bf16 or Half.
template <class T>
struct Nf4Kernels {
  using Index = std::int64_t;
  /// Codes of x / absmax, absmax not finite where the block holds an infinity or a NaN.
  void (*quantize)(std::uint8_t* packed, float* absmax, const T* x, Index num_blocks, Index blocksize);
  /// map[code] * absmax, rounded to T.
  void (*dequantize)(T* y, const std::uint8_t* packed, const float* absmax, const float* map, Index num_blocks,
                     Index blocksize);
  /// The same values in float32.
  void (*dequantize_wide)(float* y, const std::uint8_t* packed, const float* absmax, const float* map, Index num_blocks,
                          Index blocksize);
};

struct KernelTable {
  const char* instruction_set;
  Kernels<float> f32;
  Kernels<double> f64;
  Kernels<Bf16> bf16;
  Nf4Kernels<float> nf4_f32;
  Nf4Kernels<Bf16> nf4_bf16;
  Nf4Kernels<Half> nf4_f16;

  template <class T>
  const Kernels<T>& of() const {
    if constexpr (std::is_same_v<T, float>) {
      return f32;
    } else if constexpr (std::is_same_v<T, double>) {
      return f64;
    } else {
      return bf16;
    }
  }
};

extern const KernelTable kBaselineKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

/// The fastest table that this processor runs and ATEN_CPU_CAPABILITY (default, avx2 or avx512) allows.
const KernelTable& kernel_table();

}  // namespace allreco::model::ops::cpu
