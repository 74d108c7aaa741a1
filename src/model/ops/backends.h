// The two backends of an op have functions of its name and signature in namespaces cpu and cuda, for arguments that are
// already checked: ops/x.cpp checks and hands over by device. A line in the op's header declares both. cuda/ is
// compiled in every build, only its kernels' launches are not; on CPU tensors it computes the same with ATen's
// operators, which the tests use.
#pragma once

// NOLINTBEGIN(bugprone-macro-parentheses): a name becomes declarations
#define ALLRECO_BOTH_BACKENDS(op) \
  namespace cpu {                 \
  decltype(ops::op) op;           \
  }                               \
  namespace cuda {                \
  decltype(ops::op) op;           \
  }
// NOLINTEND(bugprone-macro-parentheses)
