#include "model/decoder/attention_plan.h"

#include <algorithm>

namespace allreco::model {

namespace {

/// The keys of the path that a segment continues, oldest first: a run a segment, joined where they are neighbours.
std::vector<ops::KeyRange> path_keys(const std::vector<Segment>& segments, const Segment& s) {
  std::vector<ops::KeyRange> keys;
  for (const Segment* child = &s; child->parent >= 0;) {
    const Segment& parent = segments[static_cast<size_t>(child->parent)];
    const std::int64_t length = child->shared_length - parent.shared_length;
    if (!keys.empty() && keys.back().begin == parent.begin + length) {
      keys.back() = {parent.begin, length + keys.back().length, parent.shared_length, false};
    } else {
      keys.push_back({parent.begin, length, parent.shared_length, false});
    }
    child = &parent;
  }
  std::reverse(keys.begin(), keys.end());
  return keys;
}

/// The span of the key rows [first, first + length) of segment `s`, whose queries start at row `q_begin` of the query
/// tensor.
ops::AttentionSpan span_of(const std::vector<Segment>& segments, const Segment& s, std::int64_t first,
                           std::int64_t length, std::int64_t q_begin) {
  const std::int64_t before = first - s.begin;  // own rows that every query of the span sees
  ops::AttentionSpan span{q_begin, length, s.shared_length + before, path_keys(segments, s)};
  const auto add_full = [&](std::int64_t own_length) {
    if (own_length == 0) return;
    ops::KeyRange* const last = span.keys.empty() ? nullptr : &span.keys.back();
    if (last != nullptr && last->begin + last->length == s.begin) {
      last->length += own_length;
    } else {
      span.keys.push_back({s.begin, own_length, s.shared_length, false});
    }
  };
  // A single query sees itself and all before it: one full range.
  add_full(length == 1 ? before + 1 : before);
  if (length > 1) span.keys.push_back({first, length, s.shared_length + before, true});
  return span;
}

}  // namespace

std::vector<ops::AttentionSpan> attention_spans(const PackedBatch& batch, const std::vector<std::int64_t>& rows) {
  std::vector<ops::AttentionSpan> spans;
  size_t i = 0;
  for (const Segment& s : batch.segments) {
    const std::int64_t end = s.begin + s.length - batch.first_row;  // stream row
    while (i < rows.size() && rows[i] < end) {                      // each maximal run of neighbouring rows is a span
      size_t last = i + 1;
      while (last < rows.size() && rows[last] == rows[last - 1] + 1 && rows[last] < end) ++last;
      spans.push_back(span_of(batch.segments, s, batch.first_row + rows[i], static_cast<std::int64_t>(last - i),
                              static_cast<std::int64_t>(i)));
      i = last;
    }
  }
  return spans;
}

std::vector<ops::AttentionSpan> attention_spans(const PackedBatch& batch) {
  std::vector<ops::AttentionSpan> spans;
  for (const Segment& s : batch.segments) {
    if (s.begin < batch.first_row) continue;
    spans.push_back(span_of(batch.segments, s, s.begin, s.length, s.begin - batch.first_row));
  }
  return spans;
}

}  // namespace allreco::model
