#include "doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "core/text.h"

namespace allreco::doctor {

namespace {

struct Row {
  std::vector<std::string> cells;  // without the host
  std::string hosts;
};

std::vector<std::string> cells_of(const std::vector<RankFacts>& ranks) {
  const RankFacts& host = ranks[0];
  const std::int64_t usable =
      host.memory_limit_bytes > 0 ? std::min(host.memory_limit_bytes, host.memory_bytes) : host.memory_bytes;
  return {std::to_string(ranks.size()),
          std::to_string(host.num_cores),
          bytes_text(usable),
          bytes_text(host.shared_memory.total_bytes),
          std::to_string(std::max(host.gpu.num_visible, host.gpu.num_on_bus)),
          host.gpu.driver_release.empty() ? "-" : host.gpu.driver_release};
}

const char* name_of(Finding::Level level) {
  if (level == Finding::Level::error) return "ERROR";
  return level == Finding::Level::warning ? "warning" : "ok";
}

}  // namespace

std::string hosts_table(std::vector<RankFacts> facts) {
  std::sort(facts.begin(), facts.end(), [](const RankFacts& a, const RankFacts& b) { return a.rank < b.rank; });
  std::vector<Row> rows;
  for (const auto& ranks : by_host(facts)) {
    const auto cells = cells_of(ranks);
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.cells == cells; });
    if (same == rows.end())
      rows.push_back({cells, ranks[0].host});
    else
      same->hosts += "," + ranks[0].host;
  }
  rows.insert(rows.begin(), Row{{"ranks", "cores", "memory", "/dev/shm", "GPUs", "driver"}, "host"});
  std::string text;
  for (const Row& row : rows) {
    for (const std::string& cell : row.cells) text += core::message("{:>10}", cell);
    text += core::message("  {}\n", row.hosts);
  }
  return text;
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += core::message("{:<8} {}{}: {}\n", name_of(finding.level), finding.subject,
                          finding.where.empty() ? "" : " (" + finding.where + ")", finding.found);
    if (!finding.what_to_do.empty()) text += core::message("{:<8} -> {}\n", "", finding.what_to_do);
  }
  return text;
}

std::string exchange_text(const Exchange& exchange, int world_size) {
  if (!exchange.wrong.empty())
    return core::message("ERROR    sum over {} ranks by {}: {}\n{:<8} -> {}\n", world_size, exchange.plane,
                         exchange.wrong, "",
                         "the transport damages data: another MPI, NCCL or network driver is needed");
  std::string text =
      core::message("ok       sum over {} rank(s) by {}: every element exact", world_size, exchange.plane);
  if (world_size > 1)
    text += fmt::format("; 4 bytes in {:.1f} us, 16 MiB in {:.2f} ms ({:.2f} GB/s on the bus)", exchange.small_us,
                        exchange.large_ms, exchange.bus_gb_per_s);
  return text + "\n";
}

bool has_errors(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.level == Finding::Level::error; });
}

}  // namespace allreco::doctor
