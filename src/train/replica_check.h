// Every rank holds a copy of the LoRA parameters, and all take the same steps from the same bits: nothing but a fault
// of memory, GPU or network lets them differ. Left alone, such a run goes on and its loss looks well.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dist/session.h"

namespace allreco::train {

/// A 64-bit sum over the bits of a flat float32 or float64 tensor. Two tensors that differ in one element have
/// different ones, whatever the difference. The same on every device.
std::int64_t checksum_of_bits(const at::Tensor& flat);

/// One rank's copy.
struct Replica {
  std::int64_t checksum = 0;
  std::string host;
};

/// "rank 3 on n2": the ranks that differ from what most ranks hold (of two as common, from what the lower rank holds);
/// empty: all are alike.
std::string name_odd_replicas(const std::vector<Replica>& replicas);

/// Collective. Fault naming the ranks whose `parameters` differ after `step` steps. `last_step`: of the last check that
/// was passed.
void require_same_replicas(dist::Session& session, const at::Tensor& parameters, std::int64_t step,
                           std::int64_t last_step);

}  // namespace allreco::train
