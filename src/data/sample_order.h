// The order of samples: a pure function of (seed, epoch), random access, no memory.
#pragma once
#include <cstdint>

namespace allreco::data {

class SampleOrder {
 public:
  /// `shuffle` off: the identity. REQUIRES num_samples > 0.
  SampleOrder(std::int64_t num_samples, std::uint64_t seed, bool shuffle);
  /// The sample at `position` of `epoch`; for each epoch a permutation of [0, num_samples) (a Feistel network with
  /// cycle walking). REQUIRES epoch >= 0 and position in [0, num_samples). The permutation is part of the format of
  /// checkpoints: a run that was stopped must find the same order after an update of the program.
  std::int64_t sample_at(std::int64_t epoch, std::int64_t position) const;
  std::int64_t num_samples() const { return num_samples_; }

 private:
  std::int64_t num_samples_;
  std::uint64_t seed_;
  bool shuffle_;
};

}  // namespace allreco::data
