#include "eval/chunks.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "core/log.h"
#include "data/batch_plan.h"

namespace allreco::eval {

namespace {

constexpr std::int64_t kChunksPerMeeting =
    16;  // of one rank: rare enough to cost nothing, often enough to keep ranks in step

/// The chunks [first, last) that fall to this rank.
std::vector<std::int64_t> my_chunks(const dist::Session& session, const std::vector<Chunk>& chunks, std::int64_t first,
                                    std::int64_t last) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(last - first));
  std::iota(indices.begin(), indices.end(), first);
  const auto cost_of = [&](std::int64_t i) { return static_cast<double>(chunks[static_cast<std::size_t>(i)].cost); };
  return data::deal_by_cost(indices, cost_of, session.world_size())[static_cast<std::size_t>(session.rank())];
}

/// One line at each tenth of the work; short work stays silent.
void log_progress(const std::vector<Chunk>& chunks, std::int64_t before, std::int64_t after, std::string_view what) {
  const auto count = static_cast<std::int64_t>(chunks.size());
  if (before * 10 / count == after * 10 / count || after == count) return;
  core::log_info("{}: {} of {} examples", what, chunks[static_cast<std::size_t>(after - 1)].end, chunks.back().end);
}

}  // namespace

std::vector<Chunk> cut_into_chunks(std::int64_t count, std::int64_t max_cost, std::int64_t max_examples,
                                   const std::function<std::int64_t(std::int64_t)>& cost_of) {
  core::require(max_cost > 0 && max_examples > 0, "a chunk must hold something");
  std::vector<Chunk> chunks;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t cost = cost_of(i);
    const bool fits =
        !chunks.empty() && chunks.back().cost + cost <= max_cost && i - chunks.back().begin < max_examples;
    if (!fits) chunks.push_back({.begin = i, .end = i, .cost = 0});
    chunks.back().end = i + 1;
    chunks.back().cost += cost;
  }
  return chunks;
}

void for_each_chunk(dist::Session& session, const std::vector<Chunk>& chunks, std::string_view what,
                    const std::function<void(std::size_t index, const Chunk& chunk)>& work) {
  const auto count = static_cast<std::int64_t>(chunks.size());
  const std::int64_t stride = kChunksPerMeeting * session.world_size();
  for (std::int64_t first = 0; first < count; first += stride) {
    const std::int64_t last = std::min(first + stride, count);
    session.enter_phase(first, what);
    session.together(what, [&] {
      for (std::int64_t i : my_chunks(session, chunks, first, last))
        work(static_cast<std::size_t>(i), chunks[static_cast<std::size_t>(i)]);
    });
    if (session.is_leader()) log_progress(chunks, first, last, what);
  }
}

}  // namespace allreco::eval
