// What NCCL would pick, and how far it is from the GPU: the interface between the hosts, InfiniBand, the cores' NUMA
// nodes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "doctor/findings.h"

namespace allreco::doctor {

namespace {

using Level = Finding::Level;

/// Whether the list "a,b" has the name, or a prefix of it.
bool is_listed(const std::string& name, const std::string& list, bool exact) {
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');)
    if (!part.empty() && (exact ? name == part : name.starts_with(part))) return true;
  return false;
}

/// The first interface with an address that NCCL_SOCKET_IFNAME allows (prefixes, "=" exact names, "^" none of them).
/// Without it NCCL tries names with ib, then all but docker and the loopback, then these.
const NetworkInterface* pick_of_nccl(const RankFacts& host) {
  const auto first = [&](const auto& allows) -> const NetworkInterface* {
    const auto found = std::find_if(host.interfaces.begin(), host.interfaces.end(), [&](const NetworkInterface& one) {
      return one.up && one.has_address && allows(one.name);
    });
    return found == host.interfaces.end() ? nullptr : &*found;
  };
  const auto set = host.environment.find("NCCL_SOCKET_IFNAME");
  if (set != host.environment.end() && !set->second.empty()) {
    const std::string& value = set->second;
    const bool excludes = value[0] == '^', exact = value[0] == '=';
    const std::string list = excludes || exact ? value.substr(1) : value;
    return first([&](const std::string& name) { return is_listed(name, list, exact) != excludes; });
  }
  if (const auto* one = first([](const std::string& name) { return name.starts_with("ib"); })) return one;
  if (const auto* one = first([](const std::string& name) { return !is_listed(name, "docker,lo", false); })) return one;
  return first([](const std::string&) { return true; });
}

/// Hosts whose interfaces are in different networks may wait for one another for ever.
void judge_picks(const std::vector<std::vector<RankFacts>>& hosts, Findings& findings) {
  const RankFacts* first = nullptr;
  const NetworkInterface* pick_of_first = nullptr;
  for (const auto& ranks : hosts) {
    const NetworkInterface* const pick = pick_of_nccl(ranks[0]);
    if (pick == nullptr || pick->network.empty()) continue;
    if (first == nullptr) {
      first = &ranks[0];
      pick_of_first = pick;
    }
    const std::string found = fmt::format("NCCL takes {} ({})", pick->name, pick->network);
    if (pick->network == pick_of_first->network)
      findings.push_back({Level::ok, "NCCL network", ranks[0].host, found, ""});
    else
      findings.push_back(
          {Level::warning, "NCCL network", ranks[0].host,
           fmt::format("{}, but {} ({}) on {}", found, pick_of_first->name, pick_of_first->network, first->host),
           "name an interface of one network in NCCL_SOCKET_IFNAME on every host, unless these reach "
           "each other"});
  }
}

void judge_nics(const RankFacts& host, Findings& findings) {
  if (host.nics.empty()) return;
  std::vector<std::string> names;
  for (const NicFacts& nic : host.nics)
    if (nic.active)
      names.push_back(nic.numa_node < 0 ? nic.name : fmt::format("{} (NUMA {})", nic.name, nic.numa_node));
  if (names.empty())
    findings.push_back({Level::warning, "InfiniBand", host.host,
                        fmt::format("{} device(s), no active port: NCCL and MPI fall back to TCP", host.nics.size()),
                        "check ibstat: cable, subnet manager, driver"});
  else
    findings.push_back({Level::ok, "InfiniBand", host.host, fmt::format("{}", fmt::join(names, ", ")), ""});
}

/// A rank that is bound to cores far from its GPU launches and copies over the link between the processors.
void judge_numa(const RankFacts& rank, Findings& findings) {
  const int of_gpu = rank.gpu.own_numa_node;
  if (of_gpu < 0 || rank.numa_nodes.empty()) return;
  if (std::find(rank.numa_nodes.begin(), rank.numa_nodes.end(), of_gpu) != rank.numa_nodes.end()) return;
  findings.push_back(
      {Level::warning, "NUMA", rank.host,
       fmt::format("rank {} may run on the cores {} (NUMA {}), but its GPU {} is at NUMA {}", rank.rank,
                   rank.allowed_cores, fmt::join(rank.numa_nodes, ", "), rank.gpu.own_pci_bus_id, of_gpu),
       "start with launch/run.sh --gpus-per-task 1, srun --gpu-bind=closest, or mpirun --bind-to none"});
}

}  // namespace

void judge_topology(const std::vector<RankFacts>& facts, Findings& findings) {
  const bool any_gpu = std::any_of(facts.begin(), facts.end(), [](const RankFacts& rank) {
    return rank.gpu.built_with_cuda && rank.gpu.num_visible > 0;
  });
  const auto hosts = by_host(facts);
  if (any_gpu && hosts.size() > 1) judge_picks(hosts, findings);
  for (const auto& ranks : hosts) judge_nics(ranks[0], findings);
  for (const RankFacts& rank : facts) judge_numa(rank, findings);
}

}  // namespace allreco::doctor
