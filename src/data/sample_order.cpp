#include "data/sample_order.h"

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "core/random.h"

namespace allreco::data {

namespace {

// Four rounds of good functions already look random (Luby and Rackoff, 1988) when the halves are wide; the halves of
// small datasets are a few bits, and more rounds cost nothing that a training step would notice.
constexpr int kRounds = 8;

/// A keyed permutation of [0, 2^(2 * half_bits)).
class Feistel {
 public:
  Feistel(std::uint64_t key, int half_bits)
      : key_(key), half_bits_(half_bits), mask_((std::uint64_t{1} << half_bits) - 1) {}

  std::uint64_t operator()(std::uint64_t x) const {
    std::uint64_t left = x >> half_bits_;
    std::uint64_t right = x & mask_;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const std::uint64_t next = left ^ (core::mix_key(key_, {round, right}) & mask_);
      left = right;
      right = next;
    }
    return (left << half_bits_) | right;
  }

 private:
  std::uint64_t key_;
  int half_bits_;
  std::uint64_t mask_;
};

// Halves of 2 bits are visibly biased over seeds even after 16 rounds (chi-square), halves of 3 bits after 8 are not; 4
// leaves a margin. A dataset of a few samples walks some hundred steps for that.
constexpr int kMinHalfBits = 4;

/// Half of the bits of the smallest even-sized domain that holds [0, n).
int half_bits_for(std::uint64_t n) { return std::max(kMinHalfBits, static_cast<int>(std::bit_width(n - 1) + 1) / 2); }

}  // namespace

SampleOrder::SampleOrder(std::int64_t num_samples, std::uint64_t seed, bool shuffle)
    : num_samples_(num_samples), seed_(seed), shuffle_(shuffle) {
  core::require(num_samples > 0, "an order needs at least one sample");
}

std::int64_t SampleOrder::sample_at(std::int64_t epoch, std::int64_t position) const {
  core::require(epoch >= 0 && position >= 0 && position < num_samples_, "a position lies in its epoch");
  if (!shuffle_) return position;
  const auto n = static_cast<std::uint64_t>(num_samples_);
  const std::uint64_t key = core::mix_key(seed_, {core::key_of("sample order"), static_cast<std::uint64_t>(epoch)});
  const Feistel permute(key, half_bits_for(n));
  // Cycle walking: a permutation of the larger domain, iterated until it comes back into [0, n), is a permutation of
  // [0, n).
  auto x = static_cast<std::uint64_t>(position);
  do {
    x = permute(x);
  } while (x >= n);
  return static_cast<std::int64_t>(x);
}

}  // namespace allreco::data
