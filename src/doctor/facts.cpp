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
#include <bit>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/files.h"
#include "core/host.h"
#include "core/memory.h"
#include "dist/mpi_library.h"

namespace allreco::doctor {
namespace fs = std::filesystem;

std::string first_word_of(const fs::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

namespace {

/// /sys/class/infiniband/NAME: ports/N/state is "4: ACTIVE", device/numa_node a number.
std::vector<NicFacts> find_nics() {
  std::vector<NicFacts> nics;
  std::error_code error;
  for (const auto& device : fs::directory_iterator("/sys/class/infiniband", error)) {
    NicFacts nic{.name = device.path().filename().string()};
    for (const auto& port : fs::directory_iterator(device.path() / "ports", error))
      nic.active = nic.active || first_word_of(port.path() / "state").starts_with('4');
    const std::string node = first_word_of(device.path() / "device/numa_node");
    if (!node.empty()) nic.numa_node = std::atoi(node.c_str());
    nics.push_back(std::move(nic));
  }
  return nics;
}

/// The nodes that have a core in `set`: cpuN/nodeM is there for core N of node M.
std::vector<int> numa_nodes_of(const cpu_set_t& set) {
  std::set<int> nodes;
  std::error_code error;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &set)) continue;
    for (const auto& entry : fs::directory_iterator(fmt::format("/sys/devices/system/cpu/cpu{}", core), error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("node") && name.size() > 4) nodes.insert(std::atoi(name.c_str() + 4));
    }
  }
  return {nodes.begin(), nodes.end()};
}

void find_cores(RankFacts& facts) {
  cpu_set_t set;
  CPU_ZERO(&set);
  facts.num_cores = std::max(1u, std::thread::hardware_concurrency());
  facts.num_cores = std::max<std::int64_t>(facts.num_cores, ::sysconf(_SC_NPROCESSORS_ONLN));
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return;
  facts.num_allowed_cores = CPU_COUNT(&set);
  facts.numa_nodes = numa_nodes_of(set);
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

/// "10.0.0.0/24"
std::string network_of(const struct ifaddrs& entry) {
  if (entry.ifa_netmask == nullptr) return {};
  const auto number_of = [](const struct sockaddr* address) {
    struct sockaddr_in ip {};
    std::memcpy(&ip, address, sizeof ip);
    return ntohl(ip.sin_addr.s_addr);
  };
  const std::uint32_t mask = number_of(entry.ifa_netmask), network = number_of(entry.ifa_addr) & mask;
  return fmt::format("{}.{}.{}.{}/{}", network >> 24, network >> 16 & 255, network >> 8 & 255, network & 255,
                     std::popcount(mask));
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
    if (entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET && one.network.empty())
      one.network = network_of(*entry);
  }
  ::freeifaddrs(list);
  std::vector<NetworkInterface> all;
  for (const auto& [name, one] : by_name) all.push_back(one);
  return all;
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
  facts.nics = find_nics();
  facts.has_infiniband = !facts.nics.empty();
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
