// Where this process runs: a name for people, and what tells machines apart.
#pragma once
#include <string>

namespace allreco::core {

/// For messages: the name that SLURM knows this node by (SLURMD_NODENAME), else the host name. Says nothing about which
/// processes share a machine: containers on several machines may have one name, those of one machine several.
std::string host_name();

/// The same text in all processes of one running kernel, whatever containers they are in, and in no others: the
/// kernel's boot id. Compare it for what the kernel hands out (cores, GPUs). It is the host name where the kernel does
/// not say. What containers may keep apart (shared memory, one another's processes, a network) does not follow from it.
std::string machine_identity();

/// NVIDIA GPUs of this machine that this process may open and that `visible_devices` (CUDA_VISIBLE_DEVICES; null: not
/// set) leaves it. No driver is asked, so that a program without CUDA can tell, too. `devices`: the device files'
/// place.
int num_nvidia_gpus(const std::string& devices, const char* visible_devices);

/// As the kernel names the first processor, such as "AMD EPYC 9R14"; empty: it does not.
std::string cpu_model();

}  // namespace allreco::core
