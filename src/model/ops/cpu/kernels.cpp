#include "model/ops/cpu/kernels.h"

#include <cstdlib>
#include <string_view>

namespace allreco::model::ops::cpu {
namespace {

/// libtorch's own variable caps its kernels; ours follow, so that one setting makes different processors compute the
/// same bits.
std::string_view capability_limit() {
  const char* const limit = std::getenv("ATEN_CPU_CAPABILITY");
  return limit != nullptr ? limit : "avx512";
}

const KernelTable& choose_table() {
#if defined(__x86_64__)
  const std::string_view limit = capability_limit();
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && limit != "avx2" && limit != "default") {
    return kAvx512Kernels;
  }
  if (avx2 && limit != "default") {
    return kAvx2Kernels;
  }
#endif
  return kBaselineKernels;
}

}  // namespace

const KernelTable& kernel_table() {
  static const KernelTable& table = choose_table();
  return table;
}

}  // namespace allreco::model::ops::cpu
