// What `doctor` knows of the machine under one rank. Gathering only looks: what it means is judged elsewhere
// (findings.h), so that every judgement can be tested without such a machine.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dist/session.h"

namespace allreco::doctor {

struct NetworkInterface {
  std::string name;
  bool loopback = false;
  bool up = false;
  bool has_address = false;  // IPv4 or IPv6
  std::string network = {};  // "10.0.0.0/24", its first IPv4 one; empty: none
};

/// An InfiniBand or RoCE device.
struct NicFacts {
  std::string name;
  bool active = false;  // one of its ports
  int numa_node = -1;   // -1: unknown, or the machine has one
};

struct GpuFacts {
  std::int64_t num_on_bus = 0;           // NVIDIA display controllers that PCI lists
  std::string driver_release;            // "580.65.06"; empty: no kernel module
  std::string driver_error;              // why libcuda cannot be used; empty: it can
  std::int64_t driver_cuda = 0;          // the newest CUDA that the driver runs: 13000 is 13.0; 0: unknown
  std::int64_t num_visible = 0;          // devices that libcuda shows to this process
  std::int64_t num_usable = 0;           // devices that libtorch shows
  std::string own_uuid, own_pci_bus_id;  // of the device that this rank would take; empty: none
  int own_numa_node = -1;                // of that device; -1: unknown, or the machine has one
  bool built_with_cuda = false;          // this program
  bool torch_has_cuda = false;           // libtorch as it was loaded
  std::string nccl_of_build;             // "2.28.9"; empty without CUDA
  std::string nccl_at_run_time;          // empty: none found
};

struct SharedMemoryFacts {
  bool exists = false, writable = false;
  std::int64_t total_bytes = 0, free_bytes = 0;
};

/// One of the directories that the user asked about.
struct PathFacts {
  std::string option;  // model_name_or_path, dataset or output_dir
  std::string path;
  std::string error;       // why it cannot be used at all
  std::string map_error;   // why its files cannot be mapped
  std::string lock_error;  // why flock fails there
  std::string identity;    // equal on all hosts that see the same files; empty for output_dir
  std::string file_system;
  std::int64_t free_bytes = 0;
  std::int64_t file_bytes = 0;                 // of the model's or dataset's files
  std::vector<std::string> plain_on_gpu = {};  // of a model: what a GPU computes without a kernel of one pass
};

struct RankFacts {
  int rank = 0, local_rank = 0, local_size = 1;
  std::string host;     // core::host_name
  std::string machine;  // core::machine_identity
  std::string program;  // version and a hash of the executable
  std::string mpi;
  std::string allowed_cores;  // "0-3,8"
  std::int64_t num_allowed_cores = 1, num_cores = 1;
  std::int64_t memory_bytes = 0;        // of the machine
  std::int64_t memory_limit_bytes = 0;  // of the control group; 0: none
  std::int64_t memlock_bytes = 0;       // RLIMIT_MEMLOCK; -1: unlimited
  bool has_infiniband = false;
  std::vector<NicFacts> nics;
  std::vector<int> numa_nodes;  // of the allowed cores; empty: unknown
  SharedMemoryFacts shared_memory;
  std::vector<NetworkInterface> interfaces;
  std::map<std::string, std::string> environment;  // those of kVariables that are set
  GpuFacts gpu;
  std::vector<PathFacts> paths;
};

/// The environment variables that `doctor` looks at.
inline constexpr const char* kVariables[] = {
    "OMP_NUM_THREADS",       "NCCL_SOCKET_IFNAME",  "OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include",
    "HDF5_USE_FILE_LOCKING", "CUDA_VISIBLE_DEVICES"};

/// The directories to look at, by option; empty ones are left out.
using PathOptions = std::vector<std::pair<std::string, std::string>>;

/// Of this rank. Never throws for what it finds; writes only a file of its own into output_dir, which it removes.
RankFacts gather_facts(const dist::Session& session, const PathOptions& paths);

GpuFacts gather_gpu_facts(int local_rank);
PathFacts gather_path_facts(const std::string& option, const std::string& path);
/// Of a file of /sys; empty where there is none.
std::string first_word_of(const std::filesystem::path& file);

std::string to_text(const RankFacts& facts);
RankFacts facts_from_text(const std::string& text);

}  // namespace allreco::doctor
