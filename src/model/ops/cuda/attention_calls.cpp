#include "model/ops/cuda/attention_calls.h"

#include <algorithm>

namespace allreco::model::ops::cuda {
namespace {

using Window = std::optional<std::int64_t>;

/// A full range that ends where a causal one begins, in rows and positions, is the start of its keys.
bool continues(const KeyRange& full, const KeyRange& causal) {
  return !full.causal && full.begin + full.length == causal.begin &&
         full.first_position + full.length == causal.first_position;
}

AttentionPiece causal_piece(const AttentionSpan& span, const KeyRange& range, Window window) {
  AttentionPiece piece{span.q_begin, span.q_length, range.begin, range.length, true, {}};
  if (window) piece.hidden_before = span.q_first_position - range.first_position - *window;
  return piece;
}

/// Without the keys that the window hides from every query; the rest of the window becomes a mask.
AttentionPiece full_piece(const AttentionSpan& span, KeyRange range, Window window) {
  AttentionPiece piece{span.q_begin, span.q_length, range.begin, range.length, false, {}};
  if (!window) return piece;
  const std::int64_t hidden = span.q_first_position - range.first_position - *window;  // key j > i + hidden is seen
  const std::int64_t cut = std::clamp<std::int64_t>(hidden + 1, 0, range.length);      // hidden from the first query
  piece.k_begin += cut;
  piece.k_length -= cut;
  if (hidden - cut + span.q_length - 1 >= 0) piece.hidden_before = hidden - cut;
  return piece;
}

/// The pieces of a span in the order of its ranges, the empty ones left out.
std::vector<AttentionPiece> pieces_of(const AttentionSpan& span, Window window) {
  std::vector<AttentionPiece> pieces;
  const auto add = [&](const AttentionPiece& piece) {
    if (piece.q_length > 0 && piece.k_length > 0) pieces.push_back(piece);
  };
  for (std::size_t i = 0; i < span.keys.size(); ++i) {
    KeyRange range = span.keys[i];
    if (!range.causal && i + 1 < span.keys.size() && span.keys[i + 1].causal && continues(range, span.keys[i + 1])) {
      range.length += span.keys[++i].length;
      range.causal = true;
    }
    add(range.causal ? causal_piece(span, range, window) : full_piece(span, range, window));
  }
  return pieces;
}

bool is_flash_window(const AttentionPiece& piece, Window window) {
  return piece.causal && window && *piece.hidden_before == piece.k_length - piece.q_length - *window;
}

/// Neighbouring queries over the very same keys, unmasked.
bool extend(AttentionCalls& call, const AttentionPiece& piece) {
  if (call.pieces.empty() || call.causal || call.masked) return false;
  AttentionPiece& last = call.pieces.back();
  if (last.k_begin != piece.k_begin || last.k_length != piece.k_length || last.q_begin + last.q_length != piece.q_begin)
    return false;
  last.q_length += piece.q_length;
  return true;
}

}  // namespace

std::vector<AttentionCalls> attention_calls(const std::vector<AttentionSpan>& spans, Window window) {
  std::vector<AttentionCalls> calls;
  std::vector<const AttentionSpan*> last_span;  // that put a piece into each call
  for (const AttentionSpan& span : spans) {
    for (const AttentionPiece& piece : pieces_of(span, window)) {
      const bool masked = piece.hidden_before && !is_flash_window(piece, window);
      std::size_t c = 0;
      while (c < calls.size() &&
             (last_span[c] == &span || calls[c].causal != piece.causal || calls[c].masked != masked))
        ++c;
      if (c == calls.size()) {
        calls.push_back({{}, piece.causal, piece.causal && !masked ? window : Window(), masked});
        last_span.push_back(nullptr);
      }
      last_span[c] = &span;
      if (!extend(calls[c], piece)) calls[c].pieces.push_back(piece);
    }
  }
  return calls;
}

}  // namespace allreco::model::ops::cuda
