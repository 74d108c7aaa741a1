// Interfaces, and the variables that choose among them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "doctor/findings.h"

namespace allreco::doctor {

namespace {

using Level = Finding::Level;

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

bool has_interface(const RankFacts& host, const std::string& name, bool prefix) {
  return std::any_of(host.interfaces.begin(), host.interfaces.end(), [&](const NetworkInterface& one) {
    return one.up && (prefix ? one.name.starts_with(name) : one.name == name);
  });
}

std::string interface_names(const RankFacts& host) {
  std::vector<std::string> names;
  for (const NetworkInterface& one : host.interfaces)
    if (one.up) names.push_back(one.name);
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

/// Open MPI takes names and networks ("10.0.0.0/8"), and needs every name it is given.
std::vector<std::string> missing_for_mpi(const RankFacts& host, const std::string& value) {
  std::vector<std::string> missing;
  for (const std::string& name : split_at_commas(value))
    if (name.find('/') == std::string::npos && !has_interface(host, name, /*prefix=*/false)) missing.push_back(name);
  return missing;
}

/// NCCL takes prefixes, exact names after "=", and exclusions after "^"; one match is enough.
std::vector<std::string> missing_for_nccl(const RankFacts& host, const std::string& value) {
  if (value.starts_with('^')) return {};
  const bool exact = value.starts_with('=');
  const std::vector<std::string> names = split_at_commas(exact ? value.substr(1) : value);
  const bool found = std::any_of(names.begin(), names.end(),
                                 [&](const std::string& name) { return has_interface(host, name, !exact); });
  return found ? std::vector<std::string>{} : names;
}

void judge_variable(const RankFacts& host, const char* variable, bool several_hosts, Findings& findings) {
  const auto set = host.environment.find(variable);
  if (set == host.environment.end()) return;
  const bool nccl = std::string(variable).starts_with("NCCL");
  const auto missing = nccl ? missing_for_nccl(host, set->second) : missing_for_mpi(host, set->second);
  if (!missing.empty()) {
    findings.push_back({Level::error, variable, host.host,
                        fmt::format("names {}, but the interfaces that are up here are {}", fmt::join(missing, ", "),
                                    interface_names(host)),
                        fmt::format("unset {} or name an interface that every host has", variable)});
  } else if (several_hosts && (set->second == "lo" || set->second == "=lo")) {
    findings.push_back({Level::error, variable, host.host, "names the loopback, over which no other host is reached",
                        fmt::format("unset {}", variable)});
  }
}

}  // namespace

void judge_network(const std::vector<RankFacts>& facts, Findings& findings) {
  const auto hosts = by_host(facts);
  for (const auto& ranks : hosts) {
    const RankFacts& host = ranks[0];
    const bool reachable = std::any_of(host.interfaces.begin(), host.interfaces.end(), [](const NetworkInterface& one) {
      return one.up && one.has_address && !one.loopback;
    });
    if (hosts.size() > 1 && !reachable)
      findings.push_back({Level::error, "network", host.host,
                          "no interface with an address besides the loopback, and there are several hosts",
                          "bring a network interface up, or give the container the host's network (--network=host)"});
    else
      findings.push_back({Level::ok, "network", host.host, interface_names(host), ""});
    for (const char* variable : {"NCCL_SOCKET_IFNAME", "OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include"})
      judge_variable(host, variable, hosts.size() > 1, findings);
  }
}

}  // namespace allreco::doctor
