// BatchSource: the steps of a run, in order: each one's plan, then its micro-batches; planned, read and packed by a
// thread of its own while the caller computes, or by the caller.
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

#include "data/store/dataset.h"
#include "model/decoder/packed_batch.h"
#include "train/run_plan.h"

namespace allreco::train {

struct MicroBatch {
  /// Empty: none of the samples has a supervised token, so there is nothing to compute.
  std::optional<model::PackedBatch> batch;
};

/// The samples packed in order; those without a supervised token add nothing to loss or gradient and are left out.
MicroBatch pack_micro_batch(const data::Dataset& dataset, const std::vector<std::int64_t>& samples);

class BatchSource {
 public:
  /// The plan of a step. Called on the source's thread, once for each of first_step, first_step + 1, ...
  using PlanStep = std::function<StepPlan(std::int64_t step)>;

  struct Options {
    std::int64_t first_step = 0;
    std::int64_t end_step = 0;     // one beyond the last
    std::int64_t num_workers = 0;  // 1: a thread reads ahead; 0: next() reads
    std::int64_t max_ready = 2;    // micro-batches that wait at most, also of the next steps, and plans; at least 1
    c10::Device device{c10::DeviceType::CPU};
    bool pinned = false;  // with a GPU: see PackedBatch::pinned
  };

  /// Starts to read. `dataset` must outlive the source; it is read here and by others at the same time, which is fine:
  /// only opening a dataset calls HDF5.
  BatchSource(const data::Dataset& dataset, PlanStep plan_step, const Options& options);
  /// Stops the thread after the micro-batch that it is at.
  ~BatchSource();
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  /// The next step's plan; waits for it. Then as many calls of next() as that has micro-batches give these, in order.
  /// What went wrong in planning or reading is thrown in its place, and again at every further call. A Fault beyond the
  /// last step. One thread calls.
  StepPlan next_step();
  MicroBatch next();

 private:
  StepPlan plan_next_step();
  MicroBatch read_next();
  void read_all();
  template <class Part>
  bool offer(std::deque<Part>& ready, Part part);  // false: the source is being destroyed
  template <class Part>
  Part take(std::deque<Part>& ready);

  const data::Dataset& dataset_;
  const PlanStep plan_step_;
  const Options options_;
  // of whoever reads
  std::int64_t next_step_;
  std::deque<std::vector<std::int64_t>> left_of_step_;
  // between the two threads
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StepPlan> ready_plans_;
  std::deque<MicroBatch> ready_batches_;
  std::exception_ptr failure_;
  bool finished_ = false, stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allreco::train
