// A real sum over all ranks, as training makes them.
#pragma once
#include <string>

#include "dist/session.h"

namespace allreco::doctor {

struct Exchange {
  std::string plane;        // "self", "MPI" or "NCCL"
  std::string wrong;        // empty: every element was what it must be
  double small_us = 0;      // median of a sum of one number
  double large_ms = 0;      // median of a sum of 16 MiB
  double bus_gb_per_s = 0;  // of the large one: 2 (n - 1) / n x bytes / time, as nccl-tests counts
};

/// Collective. Sums integers, so every element is known exactly. Over NCCL where every rank computes on a GPU
/// (`device` auto), else over MPI.
Exchange try_exchange(dist::Session& session);

}  // namespace allreco::doctor
