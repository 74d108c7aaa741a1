#include "doctor/facts.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "core/files.h"
#include "core/host.h"
#include "core/memory.h"
#include "dist/mpi_library.h"

namespace allreco::doctor {
namespace fs = std::filesystem;

namespace {

void find_cores(RankFacts& facts) {
  cpu_set_t set;
  CPU_ZERO(&set);
  facts.num_cores = std::max(1u, std::thread::hardware_concurrency());
  facts.num_cores = std::max<std::int64_t>(facts.num_cores, ::sysconf(_SC_NPROCESSORS_ONLN));
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return;
  facts.num_allowed_cores = CPU_COUNT(&set);
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &set)) continue;
    const int first = core;
    while (core + 1 < CPU_SETSIZE && CPU_ISSET(core + 1, &set)) ++core;
    if (!facts.allowed_cores.empty()) facts.allowed_cores += ',';
    facts.allowed_cores += first == core ? std::to_string(first) : fmt::format("{}-{}", first, core);
  }
}

void find_memory(RankFacts& facts) {
  struct sysinfo info {};
  if (::sysinfo(&info) == 0) facts.memory_bytes = static_cast<std::int64_t>(info.totalram) * info.mem_unit;
  facts.memory_limit_bytes = core::memory_limit_bytes();
  struct rlimit limit {};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);  // cannot fail with these arguments
  facts.memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? -1 : static_cast<std::int64_t>(limit.rlim_cur);
}

SharedMemoryFacts shared_memory() {
  SharedMemoryFacts facts;
  struct statvfs status {};
  if (::statvfs("/dev/shm", &status) != 0) return facts;
  facts.exists = true;
  facts.writable = ::access("/dev/shm", W_OK | X_OK) == 0;
  facts.total_bytes = static_cast<std::int64_t>(status.f_blocks * status.f_frsize);
  facts.free_bytes = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  return facts;
}

std::vector<NetworkInterface> interfaces() {
  std::map<std::string, NetworkInterface> by_name;
  struct ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  for (const struct ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    NetworkInterface& one = by_name[entry->ifa_name];
    one.name = entry->ifa_name;
    one.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    one.up = (entry->ifa_flags & IFF_UP) != 0;
    if (entry->ifa_addr != nullptr && (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6))
      one.has_address = true;
  }
  ::freeifaddrs(list);
  std::vector<NetworkInterface> all;
  for (const auto& [name, one] : by_name) all.push_back(one);
  return all;
}

bool directory_has_entries(const char* path) {
  std::error_code error;
  const fs::directory_iterator entries(path, error);
  return !error && entries != fs::directory_iterator();
}

/// The version alone cannot tell two builds apart.
std::string program() {
  return fmt::format("{} ({})", ALLRECO_VERSION, core::sha256_of_file("/proc/self/exe").substr(0, 12));
}

}  // namespace

RankFacts gather_facts(const dist::Session& session, const PathOptions& paths) {
  RankFacts facts;
  facts.rank = session.rank();
  facts.local_rank = session.local_rank();
  facts.local_size = session.local_size();
  facts.host = core::host_name();
  facts.machine = core::machine_identity();
  facts.program = program();
  facts.mpi = dist::mpi_library_version();
  find_cores(facts);
  find_memory(facts);
  facts.has_infiniband = directory_has_entries("/sys/class/infiniband");
  facts.shared_memory = shared_memory();
  facts.interfaces = interfaces();
  for (const char* name : kVariables)
    if (const char* value = std::getenv(name)) facts.environment[name] = value;
  facts.gpu = gather_gpu_facts(session.local_rank());
  if (facts.local_rank != 0) return facts;  // the files once a host
  for (const auto& [option, path] : paths)
    if (!path.empty()) facts.paths.push_back(gather_path_facts(option, path));
  return facts;
}

}  // namespace allreco::doctor
