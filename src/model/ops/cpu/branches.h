// Which spans begin with the same keys: branches of one prompt, or of one path. What they share is multiplied once for
// the queries of all of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/ops/attention.h"

namespace allreco::model::ops::cpu {

/// Key rows of all ranges of a span.
std::int64_t num_keys(const AttentionSpan& span);

/// Spans and the keys that all their queries see first. A span that shares nothing is alone here.
struct Branches {
  std::vector<const AttentionSpan*> spans;
  std::vector<std::int64_t> first_queries;  // [spans + 1], among the queries of all spans; the last: their number
  KeyRange shared;

  std::int64_t num_queries() const { return first_queries.back(); }
  std::size_t span_of(std::int64_t query) const;
  /// What a span sees beside the shared keys, in its order.
  std::vector<KeyRange> own_keys(std::size_t span) const;
  std::int64_t num_own_keys(std::size_t span) const;
};

/// Spans whose first ranges begin at the same key, and differ in length by no more than a factor of two, are together.
/// Spans without queries are left out. `spans` outlive the result.
std::vector<Branches> branches_of(const std::vector<AttentionSpan>& spans);

}  // namespace allreco::model::ops::cpu
