// The innermost CPU loops behind plain pointers: tables of functions, compiled once per instruction set (isa_*.cpp) and
// chosen once per process. A file x_kernels.inc has an op's tables and their kernels; CMake finds it. One row, or one
// attention task, at a time: the caller spreads them over threads, so no result depends on the number of threads.
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

enum class InstructionSet { baseline, avx2, avx512 };

/// The fastest that this processor runs and ATEN_CPU_CAPABILITY (default, avx2 or avx512) allows.
InstructionSet instruction_set();
const char* name_of(InstructionSet set);

/// A table as each instruction set has it. isa_*.cpp define one member each.
template <class Table>
struct CompiledFor {
  static const Table& baseline();
  static const Table& avx2();
  static const Table& avx512();
};

/// The kernels for instruction_set().
template <class Table>
const Table& kernels() {
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return CompiledFor<Table>::avx512();
    case InstructionSet::avx2:
      return CompiledFor<Table>::avx2();
    case InstructionSet::baseline:
      break;
  }
  return CompiledFor<Table>::baseline();
}

}  // namespace allreco::model::ops::cpu
