#include "bench/collectives.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>

#include "core/check.h"
#include "model/device.h"
#include "train/trainer.h"

namespace allreco::bench {
namespace {

// Bytes, four times as many from one to the next.
constexpr std::int64_t kSmallest = 8, kLargest = std::int64_t{1} << 26;
constexpr double kEnoughSeconds = 0.1;
constexpr std::int64_t kWarmUp = 3, kMostRepetitions = 200;

struct Operation {
  std::string name;
  std::function<void(const at::Tensor&)> run;
  float expected = 0;  // of each element after one run on rank + 1
};

class Timer {
 public:
  Timer(dist::Session& session, at::Device device) : session_(session), device_(device) {}

  CollectiveTime time(const Operation& operation, std::int64_t bytes) {
    check(operation, bytes);
    at::Tensor zeros = filled(bytes, 0);  // sums stay what they are
    for (std::int64_t i = 0; i < kWarmUp; ++i) operation.run(zeros);
    const double once = std::max(seconds_of(operation, zeros, 1), 1e-7);
    CollectiveTime result{.operation = operation.name, .bytes = bytes};
    result.repetitions = std::clamp<std::int64_t>(std::llround(kEnoughSeconds / once), 5, kMostRepetitions);
    const double seconds = seconds_of(operation, zeros, result.repetitions) / static_cast<double>(result.repetitions);
    result.us = seconds * 1e6;
    result.algorithm_gb_per_second = static_cast<double>(bytes) / seconds / 1e9;
    result.bus_gb_per_second = result.algorithm_gb_per_second * bus_factor(operation.name, session_.world_size());
    return result;
  }

 private:
  at::Tensor filled(std::int64_t bytes, float value) const {
    return at::full({bytes / 4}, value, at::TensorOptions(device_).dtype(at::kFloat));
  }

  void check(const Operation& operation, std::int64_t bytes) const {
    const at::Tensor numbers = filled(bytes, static_cast<float>(session_.rank() + 1));
    operation.run(numbers);
    const at::Tensor there = numbers.to(at::kCPU);
    const float* const values = there.const_data_ptr<float>();
    for (std::int64_t i = 0; i < there.numel(); ++i)
      if (const float found = values[i]; found != operation.expected)
        core::fault("{} of {} bytes: element {} is {}, not {}", operation.name, bytes, i, found, operation.expected);
  }

  /// On the slowest rank, which all agree on.
  double seconds_of(const Operation& operation, const at::Tensor& tensor, std::int64_t repetitions) {
    session_.barrier();
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < repetitions; ++i) operation.run(tensor);
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin);
    return static_cast<double>(session_.all_max(ns.count())) / 1e9;
  }

  dist::Session& session_;
  at::Device device_;
};

std::vector<Operation> operations_of(dist::Communicator& plane) {
  const int n = plane.world_size();
  const int sum_of_ranks = n * (n + 1) / 2;  // a whole number, exact in float32 up to 5,792 ranks
  const auto sum = static_cast<float>(sum_of_ranks);
  std::vector<Operation> operations{{"all_reduce_sum", [&plane](const at::Tensor& t) { plane.all_reduce_sum(t); }, sum},
                                    {"broadcast", [&plane](const at::Tensor& t) { plane.broadcast(t, 0); }, 1}};
  if ((n & (n - 1)) == 0)
    operations.push_back({"tree_sum", [&plane](const at::Tensor& t) { plane.start_tree_sum(t)->wait(); }, sum});
  return operations;
}

}  // namespace

double bus_factor(const std::string& operation, int world_size) {
  const double n = world_size;
  if (world_size == 1) return 0;
  if (operation == "broadcast") return 1;
  return operation == "tree_sum" ? std::log2(n) : 2 * (n - 1) / n;
}

CollectivesResult bench_collectives(dist::Session& session, const BenchConfig& config) {
  session.set_timeout(config.train.ddp_timeout);
  at::Device device = at::kCPU;
  session.together("choosing the device", [&] { device = eval::claim_device(session, config.base); });
  std::unique_ptr<dist::Communicator> own;
  if (session.world_size() > 1)
    own = train::make_plane_of_device(session, device, {.max_ctas = static_cast<int>(config.train.nccl_max_ctas)});
  dist::Communicator& plane = own ? *own : session.communicator();
  CollectivesResult result;
  result.plane = session.world_size() == 1 ? "self" : own ? "NCCL" : "MPI";
  result.world_size = session.world_size();
  Timer timer(session, device);
  for (const Operation& operation : operations_of(plane))
    for (std::int64_t bytes = kSmallest; bytes <= kLargest; bytes *= 4)
      result.times.push_back(timer.time(operation, bytes));
  return result;
}

}  // namespace allreco::bench
