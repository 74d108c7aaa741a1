#include "doctor/exchange.h"

#include <ATen/ops/full.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "dist/nccl_communicator.h"
#include "model/device.h"

namespace allreco::doctor {

namespace {

constexpr std::int64_t kLargeBytes = std::int64_t{16} << 20;
constexpr int kRepetitions = 11;

class Exchanger {
 public:
  Exchanger(dist::Session& session, dist::Communicator& communicator, c10::Device device)
      : session_(session), communicator_(communicator), device_(device) {}

  /// The median time of a sum of `count` floats, in ms; `wrong` says where a result was not the expected one.
  double time_ms(std::int64_t count, std::string& wrong) {
    const int n = communicator_.world_size();
    const int sum_of_ranks = n * (n + 1) / 2;  // a whole number, exact in float up to 5792 ranks
    const auto expected = static_cast<float>(sum_of_ranks);
    std::vector<double> times;
    for (int i = 0; i < kRepetitions; ++i) {
      at::Tensor numbers = at::full({count}, communicator_.rank() + 1, at::TensorOptions(device_).dtype(at::kFloat));
      session_.barrier();
      const auto begin = std::chrono::steady_clock::now();
      communicator_.all_reduce_sum(numbers);
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
      check(numbers.to(at::kCPU), expected, wrong);
    }
    std::nth_element(times.begin(), times.begin() + kRepetitions / 2, times.end());
    return times[kRepetitions / 2];
  }

 private:
  void check(const at::Tensor& numbers, float expected, std::string& wrong) const {
    const float* const values = numbers.const_data_ptr<float>();
    const float* const end = values + numbers.numel();
    const float* const bad = std::find_if(values, end, [&](float value) { return value != expected; });
    if (bad != end && wrong.empty())
      wrong = fmt::format("element {} of {} was {}, not {}", bad - values, numbers.numel(), *bad, expected);
  }

  dist::Session& session_;
  dist::Communicator& communicator_;
  c10::Device device_;
};

/// Rank 0 reports for all: the first rank with a wrong result speaks, the slowest rank's times count.
void combine(dist::Session& session, Exchange& exchange) {
  for (const std::string& text : session.all_gather(exchange.wrong))
    if (exchange.wrong.empty()) exchange.wrong = text;
  exchange.small_us = static_cast<double>(session.all_max(static_cast<std::int64_t>(exchange.small_us * 1000))) / 1000;
  exchange.large_ms = static_cast<double>(session.all_max(static_cast<std::int64_t>(exchange.large_ms * 1e6))) / 1e6;
  const double n = session.world_size();
  if (exchange.large_ms > 0)
    exchange.bus_gb_per_s = 2 * (n - 1) / n * static_cast<double>(kLargeBytes) / exchange.large_ms / 1e6;
}

}  // namespace

Exchange try_exchange(dist::Session& session) {
  const bool gpu_here = model::num_cuda_devices() > 0;
  const bool on_gpus = session.all_max(gpu_here ? 0 : 1) == 0;
  const c10::Device device = model::choose_device(on_gpus ? "cuda" : "cpu", session.local_rank());
  std::unique_ptr<dist::Communicator> gpu_plane;
  if (on_gpus && session.world_size() > 1) gpu_plane = dist::make_nccl_communicator(session, device.index());
  Exchanger exchanger(session, gpu_plane ? *gpu_plane : session.communicator(), device);
  Exchange exchange;
  exchange.plane = session.world_size() == 1 ? "self" : on_gpus ? "NCCL" : "MPI";
  exchange.small_us = exchanger.time_ms(1, exchange.wrong) * 1000;
  exchange.large_ms = exchanger.time_ms(kLargeBytes / 4, exchange.wrong);
  combine(session, exchange);
  return exchange;
}

}  // namespace allreco::doctor
