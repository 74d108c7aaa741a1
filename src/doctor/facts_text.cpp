// RankFacts as JSON, to send it to rank 0.
#include <nlohmann/json.hpp>

#include "doctor/facts.h"

namespace allreco::doctor {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NetworkInterface, name, loopback, up, has_address, network)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NicFacts, name, active, numa_node)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GpuFacts, num_on_bus, driver_release, driver_error, driver_cuda, num_visible,
                                   num_usable, own_uuid, own_pci_bus_id, own_numa_node, built_with_cuda, torch_has_cuda,
                                   nccl_of_build, nccl_at_run_time)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SharedMemoryFacts, exists, writable, total_bytes, free_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PathFacts, option, path, error, map_error, lock_error, identity, file_system,
                                   free_bytes, file_bytes, plain_on_gpu)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankFacts, rank, local_rank, local_size, host, machine, program, mpi, allowed_cores,
                                   num_allowed_cores, num_cores, memory_bytes, memory_limit_bytes, memlock_bytes,
                                   has_infiniband, nics, numa_nodes, shared_memory, interfaces, environment, gpu, paths)

std::string to_text(const RankFacts& facts) {
  // A path may hold any bytes; those that are no UTF-8 are only shown.
  return nlohmann::json(facts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankFacts facts_from_text(const std::string& text) { return nlohmann::json::parse(text).get<RankFacts>(); }

}  // namespace allreco::doctor
