// BatchSource: the micro-batches of a run, in order; read and packed by a thread of its own while the caller computes,
// or by the caller.
#pragma once
#include <c10/core/Device.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "data/batch_plan.h"
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
  /// The micro-batches of a step, as samples. Called on the source's thread, for first_step, first_step + 1, ...
  using StepSamples = std::function<data::MicroBatches(std::int64_t step)>;

  struct Options {
    std::int64_t first_step = 0;
    std::int64_t end_step = 0;     // one beyond the last
    std::int64_t num_workers = 0;  // 1: a thread reads ahead; 0: next() reads
    std::int64_t max_ready = 2;    // micro-batches that wait at most, also of the next step; at least 1
    c10::Device device{c10::DeviceType::CPU};
    bool pinned = false;  // with a GPU: see PackedBatch::pinned
  };

  /// Starts to read. `dataset` must outlive the source; it is read here and by others at the same time, which is fine:
  /// only opening a dataset calls HDF5.
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
  std::optional<MicroBatch> read_next();  // none: beyond the last step
  void read_all();
  bool offer(MicroBatch batch);  // false: the source is being destroyed
  MicroBatch take();

  const data::Dataset& dataset_;
  const StepSamples samples_of_;
  const Options options_;
  // of whoever reads
  std::int64_t next_step_;
  std::deque<std::vector<std::int64_t>> left_of_step_;
  // between the two threads
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<MicroBatch> ready_;
  std::exception_ptr failure_;
  bool finished_ = false, stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allreco::train
