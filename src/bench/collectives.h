// Latency and bandwidth of the data plane, counted as nccl-tests count them
// (https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/config.h"
#include "core/json_fields.h"
#include "dist/session.h"

namespace allreco::bench {

/// One operation at one size.
struct CollectiveTime {
  std::string operation;  // all_reduce_sum, tree_sum, broadcast
  std::int64_t bytes = 0;
  std::int64_t repetitions = 0;
  double us = 0;                       // the mean of the repetitions, on the slowest rank
  double algorithm_gb_per_second = 0;  // bytes / time
  double bus_gb_per_second = 0;        // what the links carry: comparable between operations and numbers of ranks

  template <class Archive>
  void fields(Archive& a) {
    a("operation", operation);
    a("bytes", bytes);
    a("repetitions", repetitions);
    a("us", us);
    a("algbw_gb_per_second", algorithm_gb_per_second);
    a("busbw_gb_per_second", bus_gb_per_second);
  }
};

/// The part of bytes / time that each link carries: 2 (n - 1) / n of a sum, all of a broadcast; of a tree sum by
/// recursive doubling log2(n), since each rank sends all of it so many times. 0 for one rank.
double bus_factor(const std::string& operation, int world_size);

struct CollectivesResult {
  std::string plane;  // self, MPI or NCCL
  int world_size = 1;
  std::vector<CollectiveTime> times;
};

/// Collective; the same on every rank. Fault when a sum or a broadcast is not the expected one.
CollectivesResult bench_collectives(dist::Session& session, const BenchConfig& config);

}  // namespace allreco::bench
