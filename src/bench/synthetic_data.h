// A dataset of random tokens, in a temporary directory of this rank.
#pragma once
#include <cstdint>
#include <filesystem>

namespace allreco::bench {

class SyntheticData {
 public:
  /// `num_examples` of `length` tokens, the same on every rank; all but the first token of each are supervised.
  SyntheticData(std::int64_t num_examples, std::int64_t length, std::int64_t vocab_size, std::uint64_t seed);
  ~SyntheticData();
  SyntheticData(const SyntheticData&) = delete;
  SyntheticData& operator=(const SyntheticData&) = delete;

  /// A dataset directory (docs/formats.md) with a training split.
  std::filesystem::path directory() const { return parent_ / "data"; }

 private:
  std::filesystem::path parent_;
};

}  // namespace allreco::bench
