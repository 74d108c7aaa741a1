#include "model/ops/cpu/kernels.h"

namespace allreco::model::ops::cpu {
namespace {

const KernelTable& choose_table() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    return kAvx512Kernels;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
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
