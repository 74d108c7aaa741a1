#include "audit/near_duplicates.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>
#include <utility>

#include "audit/words.h"
#include "core/parallel.h"
#include "core/random.h"

namespace allreco::audit {

namespace {

constexpr std::size_t kNumHashes = kBands * kRowsOfBand;
constexpr std::size_t kMostOfBucket = 500;  // sets compared of one bucket: more are copies of each other

using BandKeys = std::array<std::uint64_t, kBands>;

/// Multipliers of the hash functions; odd, so that each permutes the 64-bit numbers.
std::array<std::uint64_t, kNumHashes> multipliers() {
  std::array<std::uint64_t, kNumHashes> numbers{};
  core::RandomStream stream(core::key_of("minhash"));
  for (std::uint64_t& number : numbers) number = stream.next_u64() | 1U;
  return numbers;
}

BandKeys keys_of(const Shingles& shingles, const std::array<std::uint64_t, kNumHashes>& numbers) {
  std::array<std::uint64_t, kNumHashes> least{};
  least.fill(std::numeric_limits<std::uint64_t>::max());
  for (const std::uint64_t shingle : shingles) {
    for (std::size_t h = 0; h < kNumHashes; ++h) {
      const std::uint64_t product = (shingle ^ (shingle >> 29)) * numbers[h];
      least[h] = std::min(least[h], product ^ (product >> 32));
    }
  }
  BandKeys keys{};
  for (std::size_t band = 0; band < kBands; ++band) {
    keys[band] = band;
    for (std::size_t row = 0; row < kRowsOfBand; ++row)
      keys[band] = core::mix_key(keys[band], {least[band * kRowsOfBand + row]});
  }
  return keys;
}

std::vector<BandKeys> all_keys(const std::vector<Shingles>& sets) {
  std::vector<BandKeys> keys(sets.size());
  const auto numbers = multipliers();
  core::parallel_for(std::ssize(sets), at::get_num_threads(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      keys[static_cast<std::size_t>(i)] = keys_of(sets[static_cast<std::size_t>(i)], numbers);
  });
  return keys;
}

}  // namespace

std::vector<bool> has_near(const std::vector<Shingles>& sets, const std::vector<Shingles>& others, double threshold) {
  const std::vector<BandKeys> keys = all_keys(sets), other_keys = all_keys(others);
  std::vector<bool> found(sets.size());
  for (std::size_t band = 0; band < kBands; ++band) {
    std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> buckets;
    for (std::size_t i = 0; i < sets.size(); ++i)
      if (!found[i] && !sets[i].empty()) buckets[keys[i][band]];
    for (std::size_t j = 0; j < others.size(); ++j) {
      const auto bucket = buckets.find(other_keys[j][band]);
      if (bucket != buckets.end() && bucket->second.size() < kMostOfBucket)
        bucket->second.push_back(static_cast<std::uint32_t>(j));
    }
    for (std::size_t i = 0; i < sets.size(); ++i) {
      if (found[i] || sets[i].empty()) continue;
      const auto& bucket = buckets.at(keys[i][band]);
      found[i] = std::any_of(bucket.begin(), bucket.end(),
                             [&](std::uint32_t j) { return jaccard(sets[i], others[j]) >= threshold; });
    }
  }
  return found;
}

}  // namespace allreco::audit
