#include "cli/runtime.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>

#include "core/check.h"
#include "core/host.h"
#include "core/json.h"

namespace allreco::cli {

namespace {

Placement own_placement() {
  Placement own{core::machine_identity(), {}};
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return own;  // more than 1024 CPUs: one thread, or --threads
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cores)) own.cores.push_back(core);
  }
  return own;
}

std::vector<Placement> gather_placements(dist::Session& session) {
  const Placement own = own_placement();
  const core::Json text{{"machine", own.machine}, {"cores", own.cores}};
  std::vector<Placement> all;
  for (const std::string& placement : session.all_gather(text.dump())) {
    const core::Json json = core::Json::parse(placement);
    all.push_back({json["machine"].get<std::string>(), json["cores"].get<std::vector<int>>()});
  }
  return all;
}

}  // namespace

std::int64_t fair_threads(const std::vector<Placement>& ranks, std::size_t rank) {
  std::map<int, int> ranks_on_core;
  for (const Placement& other : ranks) {
    if (other.machine != ranks[rank].machine) continue;
    for (const int core : other.cores) ++ranks_on_core[core];
  }
  double share = 0;
  for (const int core : ranks[rank].cores) share += 1.0 / ranks_on_core[core];
  constexpr double rounding = 1e-6;  // far above that of a sum over all cores, far below 1 / ranks
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(share + rounding)));
}

std::optional<std::int64_t> threads_of_environment(const char* omp_num_threads) {
  if (omp_num_threads == nullptr || *omp_num_threads == '\0') return std::nullopt;
  const std::string text = omp_num_threads;
  const std::string first = text.substr(0, text.find(','));  // one number for each level of nesting
  std::int64_t threads = 0;
  const auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), threads);
  if (error != std::errc() || end != first.data() + first.size() || threads < 1 || threads > kMostThreads) {
    core::user_error(
        "OMP_NUM_THREADS = '{}' in the environment: a whole number from 1 to {} expected; or give --threads", text,
        kMostThreads);
  }
  return threads;
}

std::int64_t set_up_threads(std::int64_t threads, dist::Session& session) {
  if (threads == 0) {
    // Every rank takes part in the exchange, whether or not its own environment has the answer.
    const std::vector<Placement> ranks = gather_placements(session);
    threads = threads_of_environment(std::getenv("OMP_NUM_THREADS"))
                  .value_or(fair_threads(ranks, static_cast<std::size_t>(session.rank())));
  }
  at::set_num_threads(static_cast<int>(threads));
  return threads;
}

void set_up_signals() { ::signal(SIGXFSZ, SIG_IGN); }

}  // namespace allreco::cli
