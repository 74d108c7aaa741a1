#!/usr/bin/env bash
# Shows a rank its own GPUs alone, binds it to the cores beside the first of them, and becomes the program: what
# srun --gpus-per-task --gpu-bind=closest does, for mpirun, which knows no GPUs. launch/run.sh --gpus-per-task starts it.
#
#   mpirun -n 8 --bind-to none [-x NAME...] launch/rank_gpus.sh GPUS_PER_RANK PROGRAM [arguments...]
#
# A rank takes its GPUs from CUDA_VISIBLE_DEVICES, or else from all that nvidia-smi lists, by its local rank (Open MPI, MPICH or
# SLURM tell it). Exit code 2: there are too few.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

(($# >= 2)) || die 2 "GPUS_PER_RANK and a program are missing; see --help"
case "$1" in
  -h | --help) show_help; exit 0 ;;
esac
gpus_per_rank="$1"
shift
[[ "$gpus_per_rank" =~ ^[1-9][0-9]*$ ]] || die 2 "GPUS_PER_RANK must be a positive number, found '$gpus_per_rank'"
local_rank="${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-${SLURM_LOCALID:-}}}"
[[ -n "$local_rank" ]] || die 2 "no launcher says which rank of this host this is: start it by mpirun or srun"

if [[ -n "${CUDA_VISIBLE_DEVICES:-}" ]]; then
  IFS=, read -r -a gpus <<< "$CUDA_VISIBLE_DEVICES"
else
  mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader)
fi
first=$((local_rank * gpus_per_rank))
if ((first + gpus_per_rank > ${#gpus[@]})); then
  die 2 "rank $local_rank of $(uname -n) wants the GPUs $first to $((first + gpus_per_rank - 1)), but there are ${#gpus[@]}: start fewer ranks" \
    "per host, or give them fewer GPUs"
fi
own=("${gpus[@]:first:gpus_per_rank}")
CUDA_VISIBLE_DEVICES="$(IFS=,; printf '%s' "${own[*]}")"
export CUDA_VISIBLE_DEVICES

# The cores of the GPU's NUMA node, where the machine has several and says so: nvidia-smi prints 00000000:3B:00.0, sysfs has 0000:3b:00.0.
cores_of_gpu() {
  local bus node nodes="${ALLRECO_SYSFS:-/sys}"
  bus="$(nvidia-smi --id="$1" --query-gpu=pci.bus_id --format=csv,noheader 2> /dev/null | tr '[:upper:]' '[:lower:]')" || return 0
  node="$(cat "$nodes/bus/pci/devices/${bus:4}/numa_node" 2> /dev/null)" || return 0
  if [[ "$node" =~ ^[0-9]+$ ]]; then cat "$nodes/devices/system/node/node$node/cpulist" 2> /dev/null || true; fi
}
cores="$(cores_of_gpu "${own[0]}")"
# A control group may forbid them all; then the rank stays where it may run.
if [[ -n "$cores" ]] && command -v taskset > /dev/null && taskset -c "$cores" true 2> /dev/null; then
  exec taskset -c "$cores" "$@"
fi
exec "$@"
