// Whole runs under mpirun on the NCCL plane over the double, in which rank 1 goes wrong; judged by
// nccl_failing_run_test.cpp.
#include <ATen/ops/ones.h>
#include <mpi.h>

#include <cstdio>
#include <map>

#include "core/check.h"
#include "dist/gradient_reducer.h"
#include "dist/nccl_communicator.h"
#include "dist/nccl_double.h"
#include "dist/test_session.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

/// Three steps, each one reduction of two buckets: the collectives 1 and 2, 3 and 4, 5 and 6.
void train(Session& session, const NcclScript& script, SumOrder order) {
  const auto plane = make_nccl_communicator(
      session, [&] { return make_nccl_double(script, std::make_shared<std::vector<std::string>>()); });
  const at::Tensor gradients = at::ones({1000});
  GradientReducer reducer(*plane, gradients, {{0, 600}, {600, 1000}}, order, /*min_bucket_bytes=*/0);
  for (std::int64_t step = 1; step <= 3; ++step) {
    session.enter_phase(step, "forward and backward");
    reducer.layer_done(0);
    reducer.layer_done(1);
    session.enter_phase(step, "summing gradients");
    reducer.finish();
  }
}

/// What every rank was told, as rank 0 says it.
void say_what_ranks_were_told(const Session& session, const std::string& message) {
  std::array<char, 512> mine{};
  message.copy(mine.data(), mine.size() - 1);
  std::vector<char> all(mine.size() * static_cast<size_t>(session.world_size()));
  MPI_Allgather(mine.data(), static_cast<int>(mine.size()), MPI_CHAR, all.data(), static_cast<int>(mine.size()),
                MPI_CHAR, MPI_COMM_WORLD);
  for (int rank = 0; rank < session.world_size() && session.is_leader(); ++rank)
    std::fprintf(stderr, "rank %d was told: %s\n", rank, all.data() + mine.size() * static_cast<size_t>(rank));
  MPI_Barrier(MPI_COMM_WORLD);
}

struct Scenario {
  NcclScript rank_one;
  NcclScript others = {};
  SumOrder order = SumOrder::fastest;
  double timeout_seconds = 2;
};

int run(Session& session, const Scenario& scenario) {
  session.set_timeout(scenario.timeout_seconds);
  try {
    session.together(
        "training", [&] { train(session, session.rank() == 1 ? scenario.rank_one : scenario.others, scenario.order); });
  } catch (const WaitTimeout&) {
    throw;  // the others still wait
  } catch (const core::Fault& e) {
    say_what_ranks_were_told(session, e.what());
    throw;
  }
  return 0;
}

}  // namespace

std::map<std::string, std::function<int()>> nccl_scenarios(Session& session) {
  const std::map<std::string, Scenario> scenarios{
      {"nccl-healthy", {}},
      {"nccl-init-fails", {{.fails_at = 0}}},
      {"nccl-init-fails-later", {{.fails_after = 0}}},
      {"nccl-init-stops", {{.stops_at = 0}}},
      {"nccl-init-never-settles", {{.never_settles_at = 0}, {.never_settles_at = 0}}},
      {"nccl-sum-fails", {{.fails_at = 4}}},
      {"nccl-sum-fails-on-others", {{}, {.fails_at = 2}}},
      {"nccl-sum-fails-later", {{.fails_after = 4}}},
      {"nccl-tree-fails", {{.fails_at = 4}, {}, SumOrder::tree}},
      {"nccl-sum-stops", {{.stops_at = 4}}},
      {"nccl-gpu-hangs", {{.gpu_hangs_at = 4}}},
      {"nccl-sum-never-done", {{.never_done_at = 4}, {.never_done_at = 4}}},
      {"nccl-finalize-fails", {{.finalize_fails = true}}},
      {"nccl-finalize-hangs", {{.finalize_never_settles = true}}},
      {"nccl-abort-hangs", {{.fails_at = 4, .never_done_at = 3, .abort_hangs = true}, {}, SumOrder::fastest, 60}},
  };
  std::map<std::string, std::function<int()>> runs;
  for (const auto& [name, scenario] : scenarios)
    runs[name] = [&session, scenario = scenario] { return run(session, scenario); };
  return runs;
}

}  // namespace allreco::dist
