// The directories that the user asked about.
#include <fmt/format.h>

#include <map>

#include "doctor/findings.h"

namespace allreco::doctor {

namespace {

using Level = Finding::Level;

constexpr std::int64_t kScarce = std::int64_t{1} << 30;

/// Only rank 0 writes, so only its host counts.
void judge_output(const PathFacts& path, const RankFacts& host, Findings& findings) {
  if (!path.error.empty()) {
    findings.push_back({Level::error, path.option, host.host, path.error, "give another --output_dir, or its rights"});
  } else if (path.free_bytes < kScarce) {
    findings.push_back({Level::warning, path.option, host.host, fmt::format("{} free", bytes_text(path.free_bytes)),
                        "make room: a checkpoint takes 12 bytes for each LoRA parameter (see save_total_limit)"});
  } else if (path.file_system == "tmpfs") {
    findings.push_back({Level::warning, path.option, host.host, "lies in memory (tmpfs)",
                        "checkpoints there are gone after a restart of the host and take memory: use a disk"});
  } else {
    findings.push_back({Level::ok, path.option, host.host,
                        fmt::format("{} free, {}", bytes_text(path.free_bytes), path.file_system), ""});
  }
}

void judge_lock(const PathFacts& path, const RankFacts& host, Findings& findings) {
  if (path.lock_error.empty()) return;
  const auto set = host.environment.find("HDF5_USE_FILE_LOCKING");
  const bool forced = set != host.environment.end() && (set->second == "TRUE" || set->second == "1");
  findings.push_back({forced ? Level::error : Level::warning, "file locking", host.host,
                      fmt::format("flock fails in {}: {}{}", path.path, path.lock_error,
                                  forced ? ", and HDF5_USE_FILE_LOCKING asks for locks" : ""),
                      forced ? "unset HDF5_USE_FILE_LOCKING: allreco opens HDF5 files without locks"
                             : "nothing for allreco, which opens HDF5 files without locks; for other programs set "
                               "HDF5_USE_FILE_LOCKING=FALSE"});
}

void judge_input(const PathFacts& path, const RankFacts& host, Findings& findings) {
  if (!path.error.empty()) {
    findings.push_back({Level::error, path.option, host.host, path.error,
                        "it must be there, whole and readable, on every host under the same path"});
  } else if (!path.map_error.empty()) {
    findings.push_back({Level::error, path.option, host.host, path.map_error,
                        "use --model_loading broadcast, or copy the model to a file system that can map files"});
  } else {
    findings.push_back({Level::ok, path.option, host.host,
                        fmt::format("{} of files, {}", bytes_text(path.file_bytes), path.file_system), ""});
  }
}

/// Slower, and with more memory; nothing is wrong.
void judge_kernels(const PathFacts& path, const RankFacts& host, Findings& findings) {
  if (!host.gpu.built_with_cuda || host.gpu.num_visible == 0) return;
  for (const std::string& part : path.plain_on_gpu)
    findings.push_back({Level::ok, "GPU kernels", host.host, "libtorch's operators, one by one: " + part, ""});
}

/// The same path on two hosts need not be the same files.
void judge_identity(const std::vector<RankFacts>& facts, const std::string& option, Findings& findings) {
  std::map<std::string, std::string> host_with;
  for (const RankFacts& rank : facts)
    for (const PathFacts& path : rank.paths)
      if (path.option == option && path.error.empty()) host_with.emplace(path.identity, rank.host);
  if (host_with.size() < 2) return;
  std::string hosts;
  for (const auto& [identity, host] : host_with) hosts += (hosts.empty() ? "" : " and ") + host;
  findings.push_back({Level::error, option, "", fmt::format("names different files on {}", hosts),
                      "copy it again to the host whose copy is old or unfinished"});
}

}  // namespace

void judge_paths(const std::vector<RankFacts>& facts, Findings& findings) {
  for (const RankFacts& rank : facts) {
    for (const PathFacts& path : rank.paths) {
      if (path.option != "output_dir") {
        judge_input(path, rank, findings);
        judge_kernels(path, rank, findings);
      } else if (rank.rank == 0) {
        judge_output(path, rank, findings);
        judge_lock(path, rank, findings);
      }
    }
  }
  for (const char* option : {"model_name_or_path", "dataset"}) judge_identity(facts, option, findings);
}

}  // namespace allreco::doctor
