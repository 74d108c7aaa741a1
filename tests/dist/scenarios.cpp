// Whole runs under mpirun: those that fail, started and judged by failing_run_test.cpp, and the measurement of waiting.
#include <ATen/ops/zeros.h>
#include <mpi.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "core/check.h"
#include "dist/stall_guard.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

using Clock = std::chrono::steady_clock;

void sleep_for_ever() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

/// Seven healthy steps, then `rank` does `instead` of the eighth's sum and the others wait for it.
int hang(Session& session, int rank, const std::function<void()>& instead) {
  session.set_timeout(2);
  std::vector<double> loss{1};
  for (std::int64_t step = 1; step <= 8; ++step) {
    session.enter_phase(step, "forward and backward");
    if (step == 8 && session.rank() == rank) {
      session.enter_phase(step, "reading samples");
      instead();
    }
    session.enter_phase(step, "summing gradients");
    session.all_sum(loss);
  }
  return 0;
}

/// Steps in which the ranks arrive at different times, with more heartbeats than a stuck watcher would take.
int healthy(Session& session) {
  std::vector<double> sum{1};
  for (std::int64_t step = 1; step <= 50; ++step) {
    for (int i = 0; i < 10; ++i) session.enter_phase(step, "phase");
    if (session.rank() == step % session.world_size()) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    session.all_sum(sum);
  }
  return 0;
}

/// `rank` takes long but is not dead: it enters phases.
void stay_busy(Session& session) {
  for (std::int64_t step = 100;; ++step) {
    session.enter_phase(step, "endless evaluation");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// Rank 1 enters another collective than the others.
int mismatch(Session& session) {
  session.set_timeout(2);
  session.together("outer", [&] {
    if (session.rank() == 1)
      session.communicator().all_reduce_sum(at::zeros({4}));
    else
      session.barrier();
  });
  return 0;
}

/// Rank 1 fails before a collective that the others are already waiting in.
int fail_inside(Session& session, bool inner_first) {
  session.set_timeout(60);
  session.together("training", [&] {
    if (session.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      core::user_error("the disk of this node is full");
    }
    at::Tensor gradients = at::zeros({100'000});
    if (inner_first) session.together("inner", [] {});
    session.communicator().all_reduce_sum(gradients);
  });
  return 0;
}

/// The same two levels deep: the outer agreement must pass on the error of the inner one.
int fail_two_levels_deep(Session& session) {
  session.together("command", [&] { fail_inside(session, false); });
  return 0;
}

/// A lone rank whose main thread is held, as in a driver whose GPU hangs; or which only works in many pieces.
int hold_main_thread(bool in_pieces) {
  StallGuard guard(1, /*rank=*/0);
  for (int piece = 0; piece < 20; ++piece) {
    guard.begin(7, "forward and backward");
    std::this_thread::sleep_for(std::chrono::milliseconds(in_pieces ? 100 : 60'000));
  }
  guard.rest();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  return 0;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Microseconds {
  double best = 0, median = 0;
};

Microseconds time_of(int repetitions, const std::function<void()>& call) {
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const auto begin = Clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

/// mpirun -n 2 test_dist --scenario=waiting: our wait against blocking MPI_Allreduce, and the processor time of a long
/// wait.
int measure_waiting(Session& session) {
  for (std::int64_t floats : {256, 1 << 20}) {
    at::Tensor values = at::zeros({floats});
    const int repetitions = floats == 256 ? 2000 : 200;
    const auto ours = time_of(repetitions, [&] { session.communicator().all_reduce_sum(values); });
    const auto blocking = time_of(repetitions, [&] {
      MPI_Allreduce(MPI_IN_PLACE, values.data_ptr(), static_cast<int>(floats), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    });
    if (session.is_leader())
      std::printf("%lld bytes, best and median: all_reduce_sum %.1f %.1f us, MPI_Allreduce %.1f %.1f us\n",
                  static_cast<long long>(floats * 4), ours.best, ours.median, blocking.best, blocking.median);
  }
  const double cpu_before = cpu_seconds();
  if (session.rank() + 1 == session.world_size()) std::this_thread::sleep_for(std::chrono::seconds(2));
  session.barrier();
  if (session.is_leader()) std::printf("waiting 2 s took %.3f s of processor time\n", cpu_seconds() - cpu_before);
  return 0;
}

}  // namespace

int run_scenario(Session& session, const std::string& name) {
  std::map<std::string, std::function<int()>> scenarios{
      {"rank-1-sleeps", [&] { return hang(session, 1, sleep_for_ever); }},
      {"rank-0-sleeps", [&] { return hang(session, 0, sleep_for_ever); }},
      {"rank-2-stops", [&] { return hang(session, 2, [] { std::raise(SIGSTOP); }); }},
      {"rank-1-is-busy", [&] { return hang(session, 1, [&] { stay_busy(session); }); }},
      {"rank-1-elsewhere", [&] { return mismatch(session); }},
      {"rank-1-fails", [&] { return fail_inside(session, false); }},
      {"rank-1-fails-nested", [&] { return fail_inside(session, true); }},
      {"rank-1-fails-two-levels-deep", [&] { return fail_two_levels_deep(session); }},
      {"lone-rank-stalls", [&] { return hold_main_thread(false); }},
      {"lone-rank-works", [&] { return hold_main_thread(true); }},
      {"healthy", [&] { return healthy(session); }},
      {"waiting", [&] { return measure_waiting(session); }},
  };
  scenarios.merge(nccl_scenarios(session));
  const auto found = scenarios.find(name);
  if (found == scenarios.end()) core::user_error("unknown scenario {}", name);
  return found->second();
}

}  // namespace allreco::dist
