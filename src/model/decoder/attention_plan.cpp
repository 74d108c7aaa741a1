#include "model/decoder/attention_plan.h"

namespace allreco::model {

namespace {

/// The span of the rows [first, first + length) of segment `s`, whose queries start at row `q_begin` of the query
/// tensor.
ops::AttentionSpan span_of(const std::vector<Segment>& segments, const Segment& s, std::int64_t first,
                           std::int64_t length, std::int64_t q_begin) {
  const std::int64_t before = first - s.begin;  // own rows that every query of the span sees
  ops::AttentionSpan span{q_begin, length, s.shared_length + before, {}};
  if (s.parent >= 0 && s.shared_length > 0) {
    span.keys.push_back({segments[static_cast<size_t>(s.parent)].begin, s.shared_length, 0, false});
  }
  if (length == 1) {  // a single query sees itself and all before it: one full range
    span.keys.push_back({s.begin, before + 1, s.shared_length, false});
    return span;
  }
  if (before > 0) span.keys.push_back({s.begin, before, s.shared_length, false});
  span.keys.push_back({first, length, s.shared_length + before, true});
  return span;
}

}  // namespace

std::vector<ops::AttentionSpan> attention_spans(const std::vector<Segment>& segments,
                                                const std::vector<std::int64_t>& rows) {
  std::vector<ops::AttentionSpan> spans;
  size_t i = 0;
  for (const Segment& s : segments) {
    while (i < rows.size() && rows[i] < s.begin + s.length) {  // each maximal run of neighbouring rows is a span
      size_t end = i + 1;
      while (end < rows.size() && rows[end] == rows[end - 1] + 1 && rows[end] < s.begin + s.length) ++end;
      spans.push_back(span_of(segments, s, rows[i], static_cast<std::int64_t>(end - i), static_cast<std::int64_t>(i)));
      i = end;
    }
  }
  return spans;
}

std::vector<ops::AttentionSpan> attention_spans(const std::vector<Segment>& segments) {
  std::vector<ops::AttentionSpan> spans;
  for (const Segment& s : segments) spans.push_back(span_of(segments, s, s.begin, s.length, s.begin));
  return spans;
}

}  // namespace allreco::model
