#include "model/ops/cpu/branches.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace allreco::model::ops::cpu {
namespace {

bool may_share(const AttentionSpan& span) { return !span.keys.front().causal; }

bool comes_before(const AttentionSpan* a, const AttentionSpan* b) {
  const KeyRange &x = a->keys.front(), &y = b->keys.front();
  return std::tie(x.begin, x.first_position, y.length) < std::tie(y.begin, y.first_position, x.length);
}

/// `first`: that of the branches' longest span, which is their first.
bool joins(const AttentionSpan& span, const AttentionSpan& longest) {
  const KeyRange &range = span.keys.front(), &first = longest.keys.front();
  return may_share(span) && may_share(longest) && range.begin == first.begin &&
         range.first_position == first.first_position && 2 * range.length >= first.length;
}

}  // namespace

std::int64_t num_keys(const AttentionSpan& span) {
  return std::accumulate(span.keys.begin(), span.keys.end(), std::int64_t{0},
                         [](std::int64_t sum, const KeyRange& range) { return sum + range.length; });
}

std::size_t Branches::span_of(std::int64_t query) const {
  const auto after = std::upper_bound(first_queries.begin(), first_queries.end(), query);
  return static_cast<std::size_t>(after - first_queries.begin()) - 1;
}

std::vector<KeyRange> Branches::own_keys(std::size_t span) const {
  std::vector<KeyRange> keys = spans[span]->keys;
  keys.front().begin += shared.length;
  keys.front().first_position += shared.length;
  keys.front().length -= shared.length;
  return keys;
}

std::int64_t Branches::num_own_keys(std::size_t span) const { return num_keys(*spans[span]) - shared.length; }

std::vector<Branches> branches_of(const std::vector<AttentionSpan>& spans) {
  std::vector<const AttentionSpan*> order;
  for (const AttentionSpan& span : spans)
    if (span.q_length > 0) order.push_back(&span);
  std::stable_sort(order.begin(), order.end(), comes_before);
  std::vector<Branches> all;
  for (const AttentionSpan* span : order) {
    if (all.empty() || !joins(*span, *all.back().spans.front())) all.push_back({{}, {0}, {}});
    Branches& branches = all.back();
    branches.spans.push_back(span);
    branches.first_queries.push_back(branches.num_queries() + span->q_length);
    if (may_share(*span)) branches.shared = span->keys.front();  // the shortest so far
  }
  return all;
}

}  // namespace allreco::model::ops::cpu
