// Blocks of the block-wise quantisers over the threads.
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "model/ops/blockwise_checks.h"

namespace allreco::model::ops::cpu {

/// f(first block, number of blocks) over the threads. A thread gets at least 64 Ki elements.
template <class F>
void for_block_ranges(std::int64_t num_blocks, std::int64_t blocksize, const F& f) {
  const std::int64_t grain = std::max<std::int64_t>(1, 65536 / blocksize);
  at::parallel_for(0, num_blocks, grain, [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin); });
}

/// f(block, its first element, its number of elements).
template <class F>
void for_blocks(std::int64_t num_elements, std::int64_t blocksize, const F& f) {
  for_block_ranges(num_blocks_of(num_elements, blocksize), blocksize, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t block = first; block < first + count; ++block) {
      const std::int64_t begin = block * blocksize;
      f(block, begin, std::min(blocksize, num_elements - begin));
    }
  });
}

}  // namespace allreco::model::ops::cpu
