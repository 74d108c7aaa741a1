// Counter-based randomness: every draw is a pure function of a key and a place, so it does not depend on who draws or
// when.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace allreco::core {

/// Philox4x32-10 (Salmon et al., SC 2011): 128 random bits for a 64-bit key and a 128-bit counter.
std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::array<std::uint32_t, 4> counter);

/// Mixes a seed with any number of coordinates (purpose, step, layer, ...) into a 64-bit key. Order matters.
std::uint64_t mix_key(std::uint64_t seed, std::initializer_list<std::uint64_t> coordinates);

/// A 64-bit key of a text (FNV-1a, then mixed): gives each purpose and each parameter name its own stream.
std::uint64_t key_of(std::string_view text);

/// A stream of draws: the n-th draw of a key is always the same.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t key) : key_(key) {}
  std::uint64_t next_u64();
  /// Uniform in [0, 1), 53 bits.
  double next_uniform();
  /// Uniform in [0, bound), unbiased. REQUIRES bound > 0.
  std::uint64_t next_below(std::uint64_t bound);
  /// Standard normal (Box-Muller).
  double next_normal();

 private:
  std::uint64_t key_;
  std::uint64_t index_ = 0;
};

/// Calls use(draw) for `count` draws of `key`, uniform in [0, bound) and unbiased (Lemire, TOMACS 2019): four of each
/// Philox block, so a few nanoseconds each. REQUIRES bound > 0.
template <class Use>
void for_each_below(std::uint64_t key, std::uint32_t bound, std::int64_t count, const Use& use) {
  const std::uint32_t num_uneven = -bound % bound;  // 2^32 mod bound: so many words more fall on some draws than others
  for (std::uint64_t block = 0; count > 0; ++block) {
    for (const std::uint32_t word :
         philox4x32(key, {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), 0, 0})) {
      const std::uint64_t product = std::uint64_t{word} * bound;
      if (static_cast<std::uint32_t>(product) < num_uneven) continue;
      use(static_cast<std::uint32_t>(product >> 32));
      if (--count == 0) break;
    }
  }
}

}  // namespace allreco::core
