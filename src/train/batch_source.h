// BatchSource: reads and packs the coming micro-batches on a thread of its own while the caller computes.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "data/dataset.h"
#include "model/packed_batch.h"

namespace allreco::train {

struct MicroBatch {
  /// Empty: none of the samples has a supervised token, so there is nothing to compute.
  std::optional<model::PackedBatch> batch;
};

/// The samples packed in order; those without a supervised token add nothing to loss or gradient and are left out.
MicroBatch pack_micro_batch(const data::Dataset& dataset, const std::vector<std::int64_t>& samples);

class BatchSource {
 public:
  /// The micro-batches of one step, as samples. Called on the source's thread, for first_step, first_step + 1, ...
  using StepSamples = std::function<std::vector<std::vector<std::int64_t>>(std::int64_t step)>;

  struct Options {
    std::int64_t first_step = 0;
    std::int64_t end_step = 0;   // one beyond the last
    std::int64_t max_ready = 4;  // micro-batches that wait at most; at least 1
    bool pinned = false;         // for a GPU: see PackedBatch::pinned
  };

  /// Starts to read. `dataset` must outlive the source.
  BatchSource(const data::Dataset& dataset, StepSamples samples_of, const Options& options);
  /// Stops the thread after the micro-batch that it is at.
  ~BatchSource();
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  /// The next micro-batch, in the order of the steps and of each step's list; waits for it. What went wrong while
  /// reading it is thrown here, in its place, again at every further call. A Fault beyond the last one. One thread
  /// calls.
  MicroBatch next();

 private:
  void read_all(const StepSamples& samples_of, const Options& options);
  bool offer(MicroBatch batch, std::int64_t max_ready);  // false: the source is being destroyed

  const data::Dataset& dataset_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<MicroBatch> ready_;
  std::exception_ptr failure_;
  bool finished_ = false, stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allreco::train
