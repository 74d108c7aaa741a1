// Time of one update of all LoRA parameters of a model (r 16, every projection), and the bytes of its state.
//   bench_optimizers [threads] [shape]        the best of at least ten updates; one thread: processor time, so that
//   other processes on the machine matter less; more: wall time
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>

#include "model/families/config.h"
#include "train/optimizer.h"

namespace allreco::train {
namespace {

double now_ms() {
  std::timespec time{};
  clock_gettime(at::get_num_threads() > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

double best_ms_of_a_step(Optimizer& optimizer, const at::Tensor& gradients) {
  double best = 1e30, total = 0;
  for (int updates = 0; updates < 10 || total < 1000; ++updates) {
    const double begin = now_ms();
    optimizer.step(gradients, 1e-6, 0.999);
    const double ms = now_ms() - begin;
    best = std::min(best, ms), total += ms;
  }
  return best;
}

void bench(const std::string& shape) {
  const model::LoraStore store(model::named_model_config(shape), {.r = 16}, at::kFloat, 1);
  fmt::print("{}: {} LoRA parameters, {} threads\n", shape, store.num_parameters(), at::get_num_threads());
  for (const OptimizerType type : {OptimizerType::adamw_torch, OptimizerType::adamw_8bit}) {
    for (const double ratio : {0.0, 16.0}) {
      const auto optimizer = make_optimizer(type, store, {.weight_decay = 0.01, .loraplus_lr_ratio = ratio});
      store.gradients().normal_(0, 1e-3);
      const double ms = best_ms_of_a_step(*optimizer, store.gradients());
      size_t bytes = 0;
      for (const at::Tensor& buffer : optimizer->state()) bytes += buffer.nbytes();
      fmt::print("  {:<12} loraplus_lr_ratio {:<3} {:8.2f} ms {:6.2f} ns/parameter {:8.1f} MiB of state\n",
                 name_of(type), ratio, ms, ms * 1e6 / static_cast<double>(store.num_parameters()),
                 static_cast<double>(bytes) / 1048576);
    }
  }
}

}  // namespace
}  // namespace allreco::train

int main(int argc, char** argv) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 1);
  allreco::train::bench(argc > 2 ? argv[2] : "tinyllama-1.1b");
  return 0;
}
