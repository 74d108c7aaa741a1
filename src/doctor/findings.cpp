#include "doctor/findings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"

namespace allreco::doctor {

namespace {

using Level = Finding::Level;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
/// What Open MPI 4.1 maps for each rank of a host that talks to another one there (btl vader: a file of 4 MiB).
constexpr std::int64_t kSharedMemoryOfRank = 5 * kMiB;
/// What NCCL's documentation asks containers to give (--shm-size=1g).
constexpr std::int64_t kSharedMemoryForNccl = 1024 * kMiB;

/// A value that all ranks must share: who has which.
void judge_alike(const std::vector<RankFacts>& facts, const char* subject, const std::string RankFacts::*field,
                 const char* what_to_do, Findings& findings) {
  std::map<std::string, std::vector<int>> ranks_with;
  for (const RankFacts& rank : facts) ranks_with[rank.*field].push_back(rank.rank);
  if (ranks_with.size() == 1) {
    findings.push_back({Level::ok, subject, "", facts[0].*field, ""});
    return;
  }
  std::vector<std::string> parts;
  for (const auto& [value, ranks] : ranks_with)
    parts.push_back(fmt::format("{} on rank {}{}", value, ranks[0],
                                ranks.size() > 1 ? fmt::format(" and {} more", ranks.size() - 1) : ""));
  findings.push_back({Level::error, subject, "", fmt::format("differs: {}", fmt::join(parts, "; ")), what_to_do});
}

void judge_shared_memory(const std::vector<RankFacts>& ranks, Findings& findings) {
  const RankFacts& host = ranks[0];
  const SharedMemoryFacts& memory = host.shared_memory;
  const std::int64_t needed = kSharedMemoryOfRank * std::ssize(ranks);
  if (!memory.exists || !memory.writable) {
    const bool matters = ranks.size() > 1;
    findings.push_back({matters ? Level::error : Level::warning, "/dev/shm", host.host,
                        memory.exists ? "cannot be written" : "does not exist",
                        "mount a tmpfs there that everybody may write to (mount -t tmpfs -o mode=1777 tmpfs /dev/shm; "
                        "docker run --shm-size=1g): ranks of one host talk through it"});
  } else if (ranks.size() > 1 && memory.free_bytes < needed) {
    findings.push_back({Level::error, "/dev/shm", host.host,
                        fmt::format("{} free, MPI needs {} for {} ranks", bytes_text(memory.free_bytes),
                                    bytes_text(needed), ranks.size()),
                        "enlarge it (docker run --shm-size=1g) and delete what dead programs left in it"});
  } else if (ranks.size() > 1 && host.gpu.built_with_cuda && host.gpu.num_visible > 0 &&
             memory.total_bytes < kSharedMemoryForNccl) {
    findings.push_back({Level::warning, "/dev/shm", host.host,
                        fmt::format("{} in all, NCCL may need more", bytes_text(memory.total_bytes)),
                        "give it 1 GiB or more (docker run --shm-size=1g)"});
  } else {
    findings.push_back({Level::ok, "/dev/shm", host.host, fmt::format("{} free", bytes_text(memory.free_bytes)), ""});
  }
}

void judge_limits(const RankFacts& host, Findings& findings) {
  std::int64_t model_bytes = 0;
  for (const PathFacts& path : host.paths)
    if (path.option == "model_name_or_path") model_bytes = path.file_bytes;
  const bool limited = host.memory_limit_bytes > 0 && host.memory_limit_bytes < host.memory_bytes;
  const std::int64_t usable = limited ? host.memory_limit_bytes : host.memory_bytes;
  const std::string found = fmt::format("{}{}", bytes_text(usable), limited ? " (the limit of the control group)" : "");
  if (model_bytes > usable) {
    findings.push_back(
        {Level::error, "memory", host.host,
         fmt::format("{}, but the model's files have {}", found, bytes_text(model_bytes)),
         limited ? "ask for more memory (SLURM: --mem, docker: --memory)" : "use a node with more memory"});
  } else {
    findings.push_back({Level::ok, "memory", host.host, found, ""});
  }
  if (host.has_infiniband && host.memlock_bytes >= 0 && host.memlock_bytes < 64 * kMiB) {
    findings.push_back({Level::warning, "locked memory", host.host,
                        fmt::format("limited to {} with InfiniBand present", bytes_text(host.memlock_bytes)),
                        "set it to unlimited (ulimit -l; /etc/security/limits.conf; SLURM: PropagateResourceLimits): "
                        "without it MPI and NCCL fall back to TCP, or fail"});
  }
}

/// Whether a list like "n1, n2" has this host.
bool names(const std::string& list, const std::string& host) {
  return (", " + list + ", ").find(", " + host + ", ") != std::string::npos;
}

void sort_and_merge(Findings& findings) {
  Findings merged;
  for (const Finding& finding : findings) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const Finding& other) {
      return other.level == finding.level && other.subject == finding.subject && other.found == finding.found &&
             other.what_to_do == finding.what_to_do && other.where.empty() == finding.where.empty();
    });
    if (same == merged.end())
      merged.push_back(finding);
    else if (!names(same->where, finding.where))
      same->where += ", " + finding.where;
  }
  std::stable_sort(merged.begin(), merged.end(), [](const Finding& a, const Finding& b) { return a.level > b.level; });
  findings = std::move(merged);
}

}  // namespace

std::string bytes_text(std::int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 100 ? 0 : 1, units[unit]);
}

std::vector<std::vector<RankFacts>> by_host(const std::vector<RankFacts>& facts) {
  std::vector<std::vector<RankFacts>> hosts;
  for (const RankFacts& rank : facts) {
    const auto host = std::find_if(hosts.begin(), hosts.end(), [&](const auto& ranks) {
      return ranks[0].host == rank.host && ranks[0].machine == rank.machine;
    });
    if (host == hosts.end())
      hosts.push_back({rank});
    else
      host->push_back(rank);
  }
  return hosts;
}

std::vector<Finding> judge(std::vector<RankFacts> facts) {
  core::require(!facts.empty(), "a judgement needs facts");
  std::sort(facts.begin(), facts.end(), [](const RankFacts& a, const RankFacts& b) { return a.rank < b.rank; });
  Findings findings;
  judge_programs(facts, findings);
  judge_cores(facts, findings);
  judge_memory(facts, findings);
  judge_network(facts, findings);
  judge_topology(facts, findings);
  judge_gpus(facts, findings);
  judge_paths(facts, findings);
  sort_and_merge(findings);
  return findings;
}

void judge_programs(const std::vector<RankFacts>& facts, Findings& findings) {
  judge_alike(facts, "program", &RankFacts::program, "install the same build of allreco on every host", findings);
  judge_alike(facts, "MPI", &RankFacts::mpi, "use one MPI on every host (PATH and LD_LIBRARY_PATH of the ranks)",
              findings);
}

void judge_cores(const std::vector<RankFacts>& facts, Findings& findings) {
  for (const auto& ranks : by_host(facts)) {
    const RankFacts& host = ranks[0];
    const auto num_ranks = std::ssize(ranks);
    const bool bound_to_one = std::any_of(ranks.begin(), ranks.end(), [&](const RankFacts& rank) {
      return rank.num_allowed_cores == 1 && host.num_cores >= 2 * num_ranks;
    });
    const auto set = host.environment.find("OMP_NUM_THREADS");
    const std::int64_t threads = set == host.environment.end() ? 0 : std::atoll(set->second.c_str());
    if (bound_to_one) {
      findings.push_back(
          {Level::warning, "cores", host.host,
           fmt::format("a rank may use one core only, the host has {} for {} rank(s)", host.num_cores, num_ranks),
           "start with mpirun --bind-to none, or srun --cpus-per-task"});
    } else if (num_ranks > host.num_cores) {
      findings.push_back({Level::warning, "cores", host.host,
                          fmt::format("{} ranks on {} cores", num_ranks, host.num_cores),
                          "start fewer ranks per host; they slow one another down"});
    } else if (threads * num_ranks > host.num_cores) {
      findings.push_back(
          {Level::warning, "cores", host.host,
           fmt::format("OMP_NUM_THREADS = {} for each of {} ranks, but {} cores", threads, num_ranks, host.num_cores),
           "unset OMP_NUM_THREADS; allreco sets --threads by itself"});
    } else {
      findings.push_back(
          {Level::ok, "cores", host.host, fmt::format("{} of {} allowed", host.num_allowed_cores, host.num_cores), ""});
    }
  }
}

void judge_memory(const std::vector<RankFacts>& facts, Findings& findings) {
  for (const auto& ranks : by_host(facts)) {
    judge_shared_memory(ranks, findings);
    judge_limits(ranks[0], findings);
  }
}

}  // namespace allreco::doctor
