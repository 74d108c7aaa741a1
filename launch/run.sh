#!/usr/bin/env bash
# Runs allreco on several ranks, with the mpirun flags that a laptop, a container as root or a cluster need.
#
#   launch/run.sh -n RANKS [--threads N] [--preset P] [mpirun arguments...] -- COMMAND [allreco arguments...]
#
#   -n         number of ranks; inside a SLURM allocation the default is its number of tasks
#   --threads  CPU threads of each rank; the default is cores / ranks on this machine, at least 1
#   --preset   runs build/P/allreco, by default build/release/allreco
#
# What else stands before -- goes to mpirun as it is (--hostfile hosts, for example). The exit code is mpirun's, which
# is that of the first rank that failed. OMP_WAIT_POLICY and OMPI_MCA_* of the environment are respected.
#
#   launch/run.sh -n 2 -- train --config configs/quickstart.cfg --output_dir out
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

ranks="${SLURM_NTASKS:-}"
threads=""
preset=release
mpirun_arguments=()
several_nodes=false

parse_arguments() {
  while (($# > 0)); do
    case "$1" in
      -h | --help) show_help; exit 0 ;;
      --) return ;;
      -n | -np) ranks="$(require_value "$1" "$@")"; shift ;;
      --threads) threads="$(require_value "$1" "$@")"; shift ;;
      --preset) preset="$(require_value "$1" "$@")"; shift ;;
      -H | --host | -host | --hostfile | -hostfile | --machinefile) several_nodes=true; mpirun_arguments+=("$1") ;;
      *) mpirun_arguments+=("$1") ;;
    esac
    shift
  done
  die 2 "a lone -- must stand between the options of $SCRIPT and the command of allreco; see --help"
}

check_is_count() { [[ "$2" =~ ^[1-9][0-9]*$ ]] || die 2 "$1 must be a positive number, found '$2'"; }

# How many ranks share this machine: all, unless SLURM spreads them.
ranks_per_node() {
  local nodes="${SLURM_JOB_NUM_NODES:-1}"
  printf '%s' $(((ranks + nodes - 1) / nodes))
}

choose_threads() {
  local cores per_node
  cores="$(num_cores)"
  per_node="$(ranks_per_node)"
  if [[ -z "$threads" ]]; then
    if "$several_nodes"; then die 2 "with hosts given, --threads must say how many threads each rank may use"; fi
    threads=$((cores / per_node > 0 ? cores / per_node : 1))
  fi
  check_is_count --threads "$threads"
  export OMP_NUM_THREADS="$threads"
  # Threads that spin while they wait steal the core from the ones they wait for, once there are more threads than cores.
  if ! "$several_nodes" && ((per_node * threads > cores)); then export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"; fi
}

add_mpirun_flags() {
  # A bound rank would have all its threads on one core.
  mpirun_arguments+=(--bind-to none)
  if ((EUID == 0)); then mpirun_arguments+=(--allow-run-as-root); fi
  # Open MPI counts physical cores as places. Where a scheduler or a host file gives the places, they stay binding.
  if ! "$several_nodes" && [[ -z "${SLURM_JOB_ID:-}" ]]; then mpirun_arguments+=(--oversubscribe); fi
  # Containers may forbid reading another process's memory; Open MPI's shared memory must then copy twice.
  if [[ -z "${OMPI_MCA_btl_vader_single_copy_mechanism:-}" ]] && ! "$python" "$ROOT/launch/can_read_siblings.py"; then
    mpirun_arguments+=(--mca btl_vader_single_copy_mechanism none)
  fi
  # Ranks on other hosts do not inherit the environment.
  if "$several_nodes"; then
    mpirun_arguments+=(-x OMP_NUM_THREADS)
    if [[ -n "${OMP_WAIT_POLICY:-}" ]]; then mpirun_arguments+=(-x OMP_WAIT_POLICY); fi
  fi
}

parse_arguments "$@"
while [[ "$1" != -- ]]; do shift; done
shift
[[ -n "$ranks" ]] || die 2 "-n is missing: how many ranks? see --help"
check_is_count -n "$ranks"
program="$ROOT/build/$preset/allreco"
[[ -x "$program" ]] || die 2 "$program is missing: run launch/build.sh $preset first"
command -v mpirun > /dev/null || die 2 "mpirun is missing: run launch/setup.sh first"
python="$ROOT/.venv/bin/python"
[[ -x "$python" ]] || python=python3
choose_threads
add_mpirun_flags
command=(mpirun -n "$ranks" "${mpirun_arguments[@]}" "$program" "$@")
say "OMP_NUM_THREADS=$OMP_NUM_THREADS${OMP_WAIT_POLICY:+ OMP_WAIT_POLICY=$OMP_WAIT_POLICY}$(printf ' %q' "${command[@]}")" >&2
exec "${command[@]}"
