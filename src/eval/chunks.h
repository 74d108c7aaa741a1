// Sharing an evaluation among ranks: the split is cut into fixed chunks, whatever the world size, and the chunks are
// dealt to ranks. A chunk is computed by one rank in one way, and results are combined in chunk order: so the world
// size changes no number.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "dist/session.h"

namespace allreco::eval {

/// Consecutive examples [begin, end) that are computed together.
struct Chunk {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t cost = 0;  // in tokens
};

/// Cuts [0, count) into chunks that hold at most `max_cost`, but at least one example, and at most `max_examples`. A
/// pure function.
std::vector<Chunk> cut_into_chunks(std::int64_t count, std::int64_t max_cost, std::int64_t max_examples,
                                   const std::function<std::int64_t(std::int64_t)>& cost_of);

/// Collective. Calls `work(index, chunk)` once for every chunk, on one rank each, balanced by cost. Ranks meet every
/// few chunks, so that none waits long for another, and an error on one ends all (Session::together). `what` names the
/// work in progress lines and messages.
void for_each_chunk(dist::Session& session, const std::vector<Chunk>& chunks, std::string_view what,
                    const std::function<void(std::size_t index, const Chunk& chunk)>& work);

}  // namespace allreco::eval
