#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/check.h"

namespace allreco::core {

std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::array<std::uint32_t, 4> counter) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return counter;
}

namespace {
std::uint64_t finalize(std::uint64_t x) {  // SplitMix64's finalizer
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}
}  // namespace

std::uint64_t mix_key(std::uint64_t seed, std::initializer_list<std::uint64_t> coordinates) {
  std::uint64_t key = finalize(seed);
  for (std::uint64_t c : coordinates) key = finalize(key ^ finalize(c + 0x632BE59BD9B4E019));
  return key;
}

std::uint64_t key_of(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return finalize(hash);
}

std::uint64_t RandomStream::next_u64() {
  const std::uint64_t index = index_++;
  const auto bits =
      philox4x32(key_, {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0});
  return (std::uint64_t{bits[1]} << 32) | bits[0];
}

double RandomStream::next_uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

std::uint64_t RandomStream::next_below(std::uint64_t bound) {
  require(bound > 0, "next_below needs a positive bound");
  const std::uint64_t limit = bound * (~std::uint64_t{0} / bound);  // the largest multiple that fits
  std::uint64_t x = next_u64();
  while (x >= limit) x = next_u64();
  return x % bound;
}

double RandomStream::next_normal() {
  const double u = 1.0 - next_uniform();  // (0, 1]
  const double v = next_uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace allreco::core
