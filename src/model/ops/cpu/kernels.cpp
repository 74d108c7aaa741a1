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

InstructionSet choose() {
#if defined(__x86_64__)
  const std::string_view limit = capability_limit();
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && limit != "avx2" && limit != "default") {
    return InstructionSet::avx512;
  }
  if (avx2 && limit != "default") {
    return InstructionSet::avx2;
  }
#endif
  return InstructionSet::baseline;
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet set = choose();
  return set;
}

const char* name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::baseline:
      break;
  }
  return "baseline";
}

}  // namespace allreco::model::ops::cpu
