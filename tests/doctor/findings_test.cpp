// What `doctor` makes of machines that cannot work, each as facts that were changed in one place from those of a
// machine that can.
#include "doctor/findings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/json.h"
#include "doctor/report.h"
#include "model/decoder/gpu_paths.h"

namespace allreco::doctor {
namespace {

using Level = Finding::Level;

constexpr std::int64_t kMiB = std::int64_t{1} << 20, kGiB = std::int64_t{1} << 30;

RankFacts good_rank(int rank, int local_rank, const std::string& host) {
  RankFacts facts;
  facts.rank = rank;
  facts.local_rank = local_rank;
  facts.local_size = 2;
  facts.host = host;
  facts.machine = "boot id of " + host;
  facts.program = "0.1.0 (abc)";
  facts.mpi = "Open MPI v4.1.4";
  facts.allowed_cores = "0-7";
  facts.num_allowed_cores = facts.num_cores = 8;
  facts.memory_bytes = 64 * kGiB;
  facts.memlock_bytes = -1;
  facts.shared_memory = {true, true, 32 * kGiB, 31 * kGiB};
  facts.interfaces = {{"lo", true, true, true, "127.0.0.0/8"}, {"eth0", false, true, true, "10.0.0.0/24"}};
  facts.numa_nodes = {0, 1};
  facts.gpu.driver_error = "libcuda.so.1: cannot open shared object file";
  return facts;
}

/// Two hosts with two ranks each.
std::vector<RankFacts> good_ranks() {
  return {good_rank(0, 0, "n1"), good_rank(1, 1, "n1"), good_rank(2, 0, "n2"), good_rank(3, 1, "n2")};
}

GpuFacts good_gpu() {
  return {.num_on_bus = 2,
          .driver_release = "580.65.06",
          .driver_error = "",
          .driver_cuda = 13000,
          .num_visible = 2,
          .num_usable = 2,
          .own_uuid = {},
          .own_pci_bus_id = {},
          .own_numa_node = 1,
          .built_with_cuda = true,
          .torch_has_cuda = true,
          .nccl_of_build = "2.28.9",
          .nccl_at_run_time = "2.28.9"};
}

std::vector<RankFacts> gpu_ranks() {
  auto facts = good_ranks();
  for (RankFacts& rank : facts) {
    rank.gpu = good_gpu();
    rank.gpu.own_pci_bus_id = fmt::format("0000:{:02x}:00.0", rank.local_rank);
  }
  return facts;
}

std::vector<RankFacts> ranks_with_paths() {
  auto facts = good_ranks();
  for (RankFacts& rank : facts) {
    if (rank.local_rank != 0) continue;
    for (const char* option : {"model_name_or_path", "dataset", "output_dir"})
      rank.paths.push_back(
          {option, fmt::format("/data/{}", option), "", "", "", "same", "lustre", 500 * kGiB, 2 * kGiB});
  }
  return facts;
}

PathFacts& path_of(RankFacts& rank, const std::string& option) {
  return *std::find_if(rank.paths.begin(), rank.paths.end(), [&](const auto& path) { return path.option == option; });
}

std::vector<Finding> not_ok(const std::vector<RankFacts>& facts) {
  std::vector<Finding> findings = judge(facts);
  std::erase_if(findings, [](const Finding& finding) { return finding.level == Level::ok; });
  return findings;
}

/// The change alone must cause exactly this one finding, which says what to do.
void expect_one(const std::vector<RankFacts>& facts, Level level, const std::string& subject, const std::string& where,
                const std::string& part_of_found) {
  const auto findings = not_ok(facts);
  ASSERT_EQ(findings.size(), 1u) << findings_text(findings);
  EXPECT_EQ(findings[0].level, level) << findings_text(findings);
  EXPECT_EQ(findings[0].subject, subject);
  EXPECT_EQ(findings[0].where, where);
  EXPECT_NE(findings[0].found.find(part_of_found), std::string::npos) << findings[0].found;
  EXPECT_FALSE(findings[0].what_to_do.empty());
  EXPECT_EQ(has_errors(findings), level == Level::error);
}

template <class Change>
std::vector<RankFacts> changed(std::vector<RankFacts> facts, std::initializer_list<int> ranks, Change change) {
  for (int rank : ranks) change(facts[static_cast<size_t>(rank)]);
  return facts;
}

TEST(DoctorFindings, MachinesThatWork) {
  EXPECT_TRUE(not_ok(good_ranks()).empty()) << findings_text(not_ok(good_ranks()));
  EXPECT_TRUE(not_ok(gpu_ranks()).empty()) << findings_text(not_ok(gpu_ranks()));
  EXPECT_TRUE(not_ok(ranks_with_paths()).empty()) << findings_text(not_ok(ranks_with_paths()));
}

TEST(DoctorFindings, ProgramsAndMpiMustBeTheSame) {
  expect_one(changed(good_ranks(), {3}, [](RankFacts& r) { r.program = "0.1.0 (def)"; }), Level::error, "program", "",
             "0.1.0 (def) on rank 3");
  expect_one(changed(good_ranks(), {2, 3}, [](RankFacts& r) { r.mpi = "Open MPI v5.0.1"; }), Level::error, "MPI", "",
             "Open MPI v5.0.1 on rank 2 and 1 more");
}

TEST(DoctorFindings, CoresAndThreads) {
  expect_one(changed(good_ranks(), {1}, [](RankFacts& r) { r.num_allowed_cores = 1; }), Level::warning, "cores", "n1",
             "one core only");
  expect_one(changed(good_ranks(), {0, 1, 2, 3}, [](RankFacts& r) { r.environment["OMP_NUM_THREADS"] = "8"; }),
             Level::warning, "cores", "n1, n2", "OMP_NUM_THREADS = 8");
  expect_one(changed(good_ranks(), {2, 3}, [](RankFacts& r) { r.num_cores = r.num_allowed_cores = 1; }), Level::warning,
             "cores", "n2", "2 ranks on 1 cores");
}

TEST(DoctorFindings, SharedMemory) {
  expect_one(changed(good_ranks(), {0, 1}, [](RankFacts& r) { r.shared_memory = {}; }), Level::error, "/dev/shm", "n1",
             "does not exist");
  expect_one(changed(good_ranks(), {0, 1}, [](RankFacts& r) { r.shared_memory.writable = false; }), Level::error,
             "/dev/shm", "n1", "cannot be written");
  expect_one(changed(good_ranks(), {2, 3}, [](RankFacts& r) { r.shared_memory.free_bytes = 9 * kMiB; }), Level::error,
             "/dev/shm", "n2", "9.0 MiB free");
  const auto docker = [](RankFacts& r) { r.shared_memory = {true, true, 64 * kMiB, 64 * kMiB}; };
  EXPECT_TRUE(not_ok(changed(good_ranks(), {0, 1}, docker)).empty());  // enough for MPI alone
  expect_one(changed(gpu_ranks(), {0, 1}, docker), Level::warning, "/dev/shm", "n1", "NCCL");
  RankFacts alone = good_rank(0, 0, "n1");
  alone.shared_memory = {};
  expect_one({alone}, Level::warning, "/dev/shm", "n1", "does not exist");  // a single rank does without
}

TEST(DoctorFindings, MemoryAndItsLimits) {
  expect_one(changed(ranks_with_paths(), {0}, [](RankFacts& r) { r.memory_limit_bytes = kGiB; }), Level::error,
             "memory", "n1", "1.0 GiB (the limit of the control group), but the model's files have 2.0 GiB");
  const auto low = [](RankFacts& r) { r.memlock_bytes = 65536; };
  EXPECT_TRUE(not_ok(changed(good_ranks(), {0, 1, 2, 3}, low)).empty());
  expect_one(changed(good_ranks(), {0, 1, 2, 3},
                     [&](RankFacts& r) {
                       low(r);
                       r.has_infiniband = true;
                     }),
             Level::warning, "locked memory", "n1, n2", "64.0 KiB");
}

TEST(DoctorFindings, Interfaces) {
  expect_one(changed(good_ranks(), {2, 3}, [](RankFacts& r) { r.interfaces.pop_back(); }), Level::error, "network",
             "n2", "loopback");
  RankFacts alone = good_rank(0, 0, "n1");
  alone.interfaces.pop_back();
  EXPECT_TRUE(not_ok({alone}).empty());
  expect_one(changed(good_ranks(), {0, 1, 2, 3},
                     [](RankFacts& r) {
                       r.environment["OMPI_MCA_btl_tcp_if_include"] = "10.0.0.0/8,eth0,ib0";
                       if (r.host == "n2") r.interfaces.push_back({"ib0", false, true, true});
                     }),
             Level::error, "OMPI_MCA_btl_tcp_if_include", "n1",
             "names ib0, but the interfaces that are up here are lo, eth0");
  const auto nccl = [](const std::string& value) {
    return changed(good_ranks(), {0, 1, 2, 3}, [&](RankFacts& r) { r.environment["NCCL_SOCKET_IFNAME"] = value; });
  };
  for (const char* right : {"eth", "=eth0", "^docker", "ib,eth"}) EXPECT_TRUE(not_ok(nccl(right)).empty()) << right;
  expect_one(nccl("ib"), Level::error, "NCCL_SOCKET_IFNAME", "n1, n2", "names ib");
  expect_one(nccl("=eth"), Level::error, "NCCL_SOCKET_IFNAME", "n1, n2", "names eth");
  expect_one(nccl("lo"), Level::error, "NCCL_SOCKET_IFNAME", "n1, n2", "loopback");
}

TEST(DoctorFindings, TheInterfaceThatNcclPicks) {
  // ib before eth, whatever the order; docker's bridge never while there is another.
  const auto with = [](std::initializer_list<int> ranks, const NetworkInterface& one, const char* variable = nullptr) {
    return changed(gpu_ranks(), ranks, [&](RankFacts& r) {
      r.interfaces.insert(r.interfaces.begin(), one);
      if (variable != nullptr) r.environment["NCCL_SOCKET_IFNAME"] = variable;
    });
  };
  const NetworkInterface bridge{"docker0", false, true, true, "172.17.0.0/16"};
  EXPECT_TRUE(not_ok(with({2, 3}, bridge)).empty()) << findings_text(not_ok(with({2, 3}, bridge)));
  const NetworkInterface ib{"ib0", false, true, true, "10.1.0.0/16"};
  EXPECT_TRUE(not_ok(with({0, 1, 2, 3}, ib)).empty());
  expect_one(with({2, 3}, ib), Level::warning, "NCCL network", "n2",
             "NCCL takes ib0 (10.1.0.0/16), but eth0 (10.0.0.0/24) on n1");
  EXPECT_TRUE(not_ok(with({2, 3}, ib, "=eth0")).empty());
  EXPECT_TRUE(not_ok(with({2, 3}, ib, "^ib,lo")).empty());
  expect_one(with({2, 3}, ib, "^ib"), Level::warning, "NCCL network", "n2", "NCCL takes lo (127.0.0.0/8)");
  expect_one(with({2, 3}, bridge, "docker"), Level::warning, "NCCL network", "n2", "NCCL takes docker0");
  const NetworkInterface down{"ib0", false, false, true, "10.1.0.0/16"};
  EXPECT_TRUE(not_ok(with({2, 3}, down)).empty());
  const auto on_cpus = changed(good_ranks(), {2, 3}, [&](RankFacts& r) { r.interfaces.push_back(ib); });
  EXPECT_TRUE(not_ok(on_cpus).empty());
}

TEST(DoctorFindings, InfinibandAndNumaNodes) {
  const auto with_nics = [](bool active) {
    return changed(gpu_ranks(), {0, 1}, [&](RankFacts& r) { r.nics = {{"mlx5_0", false, 0}, {"mlx5_1", active, 1}}; });
  };
  EXPECT_TRUE(not_ok(with_nics(true)).empty());
  expect_one(with_nics(false), Level::warning, "InfiniBand", "n1", "2 device(s), no active port");
  const auto bound = changed(gpu_ranks(), {3}, [](RankFacts& r) { r.numa_nodes = {0}; });
  expect_one(bound, Level::warning, "NUMA", "n2",
             "rank 3 may run on the cores 0-7 (NUMA 0), but its GPU 0000:01:00.0 is at NUMA 1");
  EXPECT_TRUE(not_ok(changed(gpu_ranks(), {3}, [](RankFacts& r) { r.numa_nodes = {1}; })).empty());
  EXPECT_TRUE(not_ok(changed(bound, {3}, [](RankFacts& r) { r.gpu.own_numa_node = -1; })).empty());
}

TEST(DoctorFindings, RanksAndTheirGpus) {
  const auto with = [](const std::vector<const char*>& own) {
    auto facts = gpu_ranks();
    for (size_t rank = 0; rank < own.size(); ++rank) facts[rank].gpu.own_pci_bus_id = own[rank];
    return facts;
  };
  // srun --gpus-per-task=1: each rank sees one, not the same.
  auto bound = with({"a", "b", "a", "b"});
  for (RankFacts& rank : bound) rank.gpu.num_visible = rank.gpu.num_usable = 1;
  EXPECT_TRUE(not_ok(bound).empty()) << findings_text(not_ok(bound));
  expect_one(with({"a", "a", "a", "b"}), Level::error, "GPU", "", "do not fit");
  EXPECT_NE(not_ok(with({"a", "a", "a", "b"}))[0].what_to_do.find("ranks 0, 1 share"), std::string::npos);
  expect_one(with({"a", "b", "", ""}), Level::error, "GPU", "", "do not fit");
}

TEST(DoctorFindings, DriverAndDevices) {
  const auto with = [](auto change) { return changed(gpu_ranks(), {2, 3}, [&](RankFacts& r) { change(r.gpu); }); };
  expect_one(with([](GpuFacts& g) {
               g.driver_release = "";
               g.driver_error = "libcuda.so.1: cannot open shared object file";
               g.driver_cuda = g.num_visible = g.num_usable = 0;
             }),
             Level::error, "GPU", "n2", "no NVIDIA driver");
  expect_one(with([](GpuFacts& g) {
               g.driver_release = "570.124.06";
               g.driver_cuda = 12080;
               g.num_usable = 0;
             }),
             Level::error, "GPU", "n2", "driver 570.124.06 for CUDA 12.8 is too old");
  expect_one(with([](GpuFacts& g) {
               g.driver_error = "cuInit failed with error 803";
               g.num_visible = g.num_usable = 0;
             }),
             Level::error, "GPU", "n2", "error 803");
  expect_one(with([](GpuFacts& g) {
               g.torch_has_cuda = false;
               g.num_usable = 0;
             }),
             Level::error, "GPU", "n2", "libtorch has none");
  expect_one(with([](GpuFacts& g) { g.num_visible = g.num_usable = 0; }), Level::warning, "GPU", "n2", "none visible");
  expect_one(changed(good_ranks(), {0, 1}, [](RankFacts& r) { r.gpu.num_on_bus = 4; }), Level::warning, "GPU", "n1",
             "4 idle (no usable driver");
}

TEST(DoctorFindings, Nccl) {
  const auto with = [](std::initializer_list<int> ranks, const std::string& version) {
    return changed(gpu_ranks(), ranks, [&](RankFacts& r) { r.gpu.nccl_at_run_time = version; });
  };
  expect_one(with({0, 1, 2, 3}, "2.28.7"), Level::warning, "NCCL", "n1, n2", "2.28.7 is loaded");
  expect_one(with({0, 1, 2, 3}, "2.27.3"), Level::error, "NCCL", "n1, n2", "built with 2.28.9");
  expect_one(with({0, 1, 2, 3}, ""), Level::error, "NCCL", "n1, n2", "not found");
  const auto mixed = not_ok(with({2, 3}, "2.28.7"));
  ASSERT_EQ(mixed.size(), 2u);
  EXPECT_NE(mixed[0].found.find("versions differ: 2.28.7 on n2; 2.28.9 on n1"), std::string::npos) << mixed[0].found;
}

TEST(DoctorFindings, Paths) {
  const auto with = [](int rank, const std::string& option, auto change) {
    return changed(ranks_with_paths(), {rank}, [&](RankFacts& r) { change(path_of(r, option)); });
  };
  expect_one(with(2, "dataset", [](PathFacts& p) { p.error = "/data/dataset is not a directory"; }), Level::error,
             "dataset", "n2", "not a directory");
  expect_one(with(2, "model_name_or_path", [](PathFacts& p) { p.identity = "other"; }), Level::error,
             "model_name_or_path", "", "names different files on n2 and n1");
  expect_one(with(2, "model_name_or_path", [](PathFacts& p) { p.map_error = "cannot map x: No such device"; }),
             Level::error, "model_name_or_path", "n2", "cannot map");
  expect_one(with(0, "output_dir", [](PathFacts& p) { p.error = "cannot write into /data: Permission denied"; }),
             Level::error, "output_dir", "n1", "Permission denied");
  EXPECT_TRUE(not_ok(with(2, "output_dir", [](PathFacts& p) { p.error = "only rank 0 writes"; })).empty());
  expect_one(with(0, "output_dir", [](PathFacts& p) { p.free_bytes = 10 * kMiB; }), Level::warning, "output_dir", "n1",
             "10.0 MiB free");
  expect_one(with(0, "output_dir", [](PathFacts& p) { p.file_system = "tmpfs"; }), Level::warning, "output_dir", "n1",
             "tmpfs");
  auto unlocked = with(0, "output_dir", [](PathFacts& p) { p.lock_error = "No locks available"; });
  expect_one(unlocked, Level::warning, "file locking", "n1", "No locks available");
  for (RankFacts& rank : unlocked) rank.environment["HDF5_USE_FILE_LOCKING"] = "TRUE";
  expect_one(unlocked, Level::error, "file locking", "n1", "HDF5_USE_FILE_LOCKING asks for locks");
}

// As one host it would have four ranks on three cores, and two ranks on each GPU.
TEST(DoctorFindings, OpsWithoutAKernelOnTheGpu) {
  const auto said = [](const std::string& head_dim, const RankFacts& host) {
    model::ModelConfig config = model::parse_model_config(
        core::parse_json(R"({"model_type": "gemma3_text", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8,
          "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": )" +
                             head_dim + "}",
                         "test"),
        "test");
    RankFacts facts = host;
    facts.paths = {{"model_name_or_path", "/data", "", "", "", "same", "lustre", 500 * kGiB, 2 * kGiB,
                    model::plain_on_gpu(config)}};
    std::vector<Finding> findings = judge({facts});
    std::erase_if(findings, [](const Finding& finding) { return finding.subject != "GPU kernels"; });
    return findings.empty() ? std::string() : findings_text(findings);
  };
  const RankFacts gpu = gpu_ranks()[0], cpu = good_ranks()[0];
  EXPECT_NE(said("44", gpu).find("head_dim = 44"), std::string::npos);
  EXPECT_NE(said("264", gpu).find("head_dim = 264"), std::string::npos);
  EXPECT_EQ(said("256", gpu).find("head_dim"), std::string::npos);
  EXPECT_NE(said("256", gpu).find("sliding window"), std::string::npos) << said("256", gpu);
  EXPECT_NE(said("256", gpu).find("float32"), std::string::npos);
  EXPECT_EQ(said("44", cpu), "");
}

TEST(DoctorFindings, ContainersOfOneNameOnTwoMachinesAreTwoHosts) {
  const auto facts = changed(gpu_ranks(), {0, 1, 2, 3}, [](RankFacts& r) {
    r.host = "box";
    r.num_cores = r.num_allowed_cores = 3;
  });
  EXPECT_TRUE(not_ok(facts).empty()) << findings_text(not_ok(facts));
}

TEST(DoctorFindings, OrderOfRanksDoesNotMatter) {
  auto facts = changed(gpu_ranks(), {1, 2}, [](RankFacts& r) { r.gpu.nccl_at_run_time = "2.27.3"; });
  const std::string findings = findings_text(judge(facts)), table = hosts_table(facts);
  std::reverse(facts.begin(), facts.end());
  EXPECT_EQ(findings_text(judge(facts)), findings);
  EXPECT_EQ(hosts_table(facts), table);
}

TEST(DoctorFindings, FactsSurviveTheJourney) {
  for (const auto& facts : {gpu_ranks(), ranks_with_paths()}) {
    std::vector<RankFacts> arrived;
    for (const RankFacts& rank : facts) arrived.push_back(facts_from_text(to_text(rank)));
    EXPECT_EQ(findings_text(judge(arrived)), findings_text(judge(facts)));
    EXPECT_EQ(hosts_table(arrived), hosts_table(facts));
  }
}

}  // namespace
}  // namespace allreco::doctor
