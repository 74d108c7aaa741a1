// Which spans share key rows: the backward of such spans adds to the same dk and dv, so one thread does them all, in
// order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/ops/attention.h"

namespace allreco::model::ops::cpu {

/// Key rows [begin, begin + length), packed from packed_begin on.
struct KeyRun {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  std::int64_t packed_begin = 0;
};

/// Spans that are connected through shared key rows, and the union of their keys as disjoint ascending runs.
struct KeyCluster {
  std::vector<std::size_t> spans;  // ascending
  std::vector<KeyRun> runs;
  std::int64_t num_keys = 0;

  /// Packed row of a key row that lies in one of the runs.
  std::int64_t packed_row(std::int64_t key) const;
};

/// In the order of their first span. Spans without queries are left out.
std::vector<KeyCluster> key_clusters(const std::vector<AttentionSpan>& spans);

}  // namespace allreco::model::ops::cpu
