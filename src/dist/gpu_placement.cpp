#include "dist/gpu_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "core/check.h"
#include "core/host.h"
#include "core/json.h"
#include "core/log.h"

namespace allreco::dist {
namespace {

/// "ranks 0, 3, 5", and how many more where they are many.
std::string list_of(const std::vector<int>& ranks) {
  constexpr size_t kMaxListed = 8;
  const auto end = ranks.begin() + static_cast<std::ptrdiff_t>(std::min(ranks.size(), kMaxListed));
  std::string text = fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks.begin(), end, ", "));
  if (ranks.size() > kMaxListed) text += fmt::format(" and {} more", ranks.size() - kMaxListed);
  return text;
}

void check_all_have_one(const std::vector<GpuPlace>& places) {
  std::vector<int> on_cpu, on_gpu;
  for (int rank = 0; rank < std::ssize(places); ++rank)
    (places[static_cast<size_t>(rank)].gpu.pci_bus_id.empty() ? on_cpu : on_gpu).push_back(rank);
  if (on_cpu.empty() || on_gpu.empty()) return;
  core::user_error(
      "{} would compute on a GPU, but {} (the first on {}) on the CPU, since no GPU is visible there: give every rank "
      "a GPU (nvidia-smi must list one on each node, and CUDA_VISIBLE_DEVICES must not hide it), or use device = cpu",
      list_of(on_gpu), list_of(on_cpu), places[static_cast<size_t>(on_cpu[0])].host);
}

std::string to_text(const GpuPlace& place) {
  return core::Json{place.host, place.machine, place.gpu.uuid, place.gpu.pci_bus_id, place.num_gpus}.dump();
}

GpuPlace from_text(const std::string& text) {
  const core::Json json = core::Json::parse(text);
  return {json[0].get<std::string>(),
          json[1].get<std::string>(),
          {json[2].get<std::string>(), json[3].get<std::string>()},
          json[4].get<int>()};
}

/// In place of NCCL's own, which is made of the host name and the boot id, too: ranks whose ids are equal talk through
/// shared memory, and containers with names of their own need not have any in common.
void set_host_id(const GpuPlace& mine, int place_on_gpu) {
  const std::string id = fmt::format("{}-{}-{}", mine.host, mine.machine, place_on_gpu);
  if (::setenv("NCCL_HOSTID", id.c_str(), /*overwrite=*/1) != 0) core::fault("setting NCCL_HOSTID={} failed", id);
}

}  // namespace

std::vector<int> judge_gpu_placement(const std::vector<GpuPlace>& places, bool allow_gpu_sharing) {
  check_all_have_one(places);
  std::map<std::pair<std::string, std::string>, std::vector<int>> ranks_on;
  std::vector<int> places_on_gpus;
  for (int rank = 0; rank < std::ssize(places); ++rank) {
    const GpuPlace& place = places[static_cast<size_t>(rank)];
    std::vector<int>& sharing = ranks_on[{place.machine, place.gpu.pci_bus_id}];
    places_on_gpus.push_back(place.gpu.pci_bus_id.empty() ? 0 : static_cast<int>(std::ssize(sharing)));
    sharing.push_back(rank);
  }
  for (const auto& [place, ranks] : ranks_on) {
    const auto& [host, machine, gpu, num_gpus] = places[static_cast<size_t>(ranks[0])];
    if (allow_gpu_sharing || gpu.pci_bus_id.empty() || ranks.size() == 1) continue;
    core::user_error(
        "{} share the GPU {} (PCI {}) of {}: start one rank per GPU (mpirun -n, srun --ntasks-per-node), give each its "
        "own (srun --gpus-per-task=1), or set allow_gpu_sharing = true, which is slow",
        list_of(ranks), gpu.uuid, gpu.pci_bus_id, host);
  }
  return places_on_gpus;
}

std::string describe_unused_gpus(const std::vector<GpuPlace>& places) {
  struct Machine {
    std::string host;
    int num_gpus = 0, num_ranks = 0;
    std::set<std::string> used;
  };
  std::map<std::string, Machine> machines;
  for (const GpuPlace& place : places) {
    Machine& machine = machines[place.machine];
    if (machine.num_ranks++ == 0) machine.host = place.host;
    machine.num_gpus = std::max(machine.num_gpus, place.num_gpus);
    if (!place.gpu.pci_bus_id.empty()) machine.used.insert(place.gpu.pci_bus_id);
  }
  std::string idle, cure;
  for (const auto& [identity, machine] : machines) {
    const int num_used = static_cast<int>(machine.used.size());
    if (num_used >= machine.num_gpus) continue;
    idle += fmt::format("{}{} of {} on {}", idle.empty() ? "" : ", ", machine.num_gpus - num_used, machine.num_gpus,
                        machine.host);
    cure = num_used > 0 ? "start one rank per GPU (mpirun -n, srun --ntasks-per-node)"
                        : "run the program of the preset cuda (launch/build.sh cuda), or say device = cpu";
  }
  return idle.empty() ? "" : fmt::format("GPUs stay idle: {}; {}", idle, cure);
}

namespace {

/// Collective.
std::vector<GpuPlace> gather_places(Session& session, c10::Device device) {
  GpuPlace mine{core::host_name(), core::machine_identity(), {}, 0};
  mine.num_gpus = core::num_nvidia_gpus("/dev", std::getenv("CUDA_VISIBLE_DEVICES"));
  if (device.is_cuda()) mine.gpu = identify_gpu(device.index());
  std::vector<GpuPlace> places;
  for (const std::string& text : session.all_gather(to_text(mine))) places.push_back(from_text(text));
  return places;
}

}  // namespace

void warn_of_unused_gpus(Session& session, c10::Device device) {
  const std::string idle = describe_unused_gpus(gather_places(session, device));
  if (!idle.empty() && session.is_leader()) core::log_warning("{}", idle);
}

void check_gpu_placement(Session& session, c10::Device device, bool allow_gpu_sharing) {
  const std::vector<GpuPlace> places = gather_places(session, device);
  const std::vector<int> places_on_gpus = judge_gpu_placement(places, allow_gpu_sharing);
  if (std::all_of(places_on_gpus.begin(), places_on_gpus.end(), [](int place_on_gpu) { return place_on_gpu == 0; }))
    return;
  const auto rank = static_cast<size_t>(session.rank());
  set_host_id(places[rank], places_on_gpus[rank]);
  core::log_warning("ranks share GPUs: NCCL sends through the network interface, and each GPU's memory holds {} copies",
                    1 + *std::max_element(places_on_gpus.begin(), places_on_gpus.end()));
}

}  // namespace allreco::dist
