#!/usr/bin/env bash
# Runs allreco on several ranks, with the mpirun flags that a laptop, a container as root or a cluster need.
#
#   launch/run.sh -n RANKS [--threads N] [--preset P] [mpirun arguments...] -- COMMAND [allreco arguments...]
#
#   -n         number of ranks; inside a SLURM allocation the default is its number of tasks
#   --threads  CPU threads of each rank; the default is cores / ranks on this machine, at least 1; needed where hosts are given
#   --preset   runs build/P/allreco, by default build/release/allreco
#   --gpus-per-task  shows each rank so many GPUs of its host, and binds it to the cores beside them (launch/rank_gpus.sh);
#              without it all ranks of a host see all of its GPUs, and each takes that of its local rank
#   --max-restarts   how often in all a training that ended by a fault is started again, from its newest checkpoint;
#              default 0. Three faults in a row without a new step end it earlier, and exit codes 2 (wrong input or
#              options) and 85 (stopped by a signal) never restart.
#   --restart-pause  seconds before a restart (default 5), doubled with each fault in a row without a new step
#
# What else stands before -- goes to mpirun as it is (--hostfile hosts, for example). The exit code is mpirun's, which
# is that of the first rank that failed. OMP_WAIT_POLICY and OMPI_MCA_* of the environment are respected. With hosts given, what
# the environment says to OpenMP, NCCL and CUDA (OMP_*, NCCL_*, CUDA_*, CUBLAS_*) reaches the ranks on all of them.
#
# Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 to this script stop a training after its current step: it is saved and the exit code
# is 85. So does the end of this script by SIGKILL. Shared memory that the ranks of a killed mpirun left on this host is cleared before
# a start and after an end; on other hosts a start there does it.
#
#   launch/run.sh -n 2 --max-restarts 3 -- train --config configs/quickstart.cfg --output_dir out
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"
# shellcheck source=launch/training.sh
source "$ROOT/launch/training.sh"

ranks="${SLURM_NTASKS:-}"
threads=""
preset=release
gpus_per_task=""
max_restarts=0
restart_pause_s=5
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
      --gpus-per-task) gpus_per_task="$(require_value "$1" "$@")"; shift ;;
      --max-restarts) max_restarts="$(require_value "$1" "$@")"; shift ;;
      --restart-pause) restart_pause_s="$(require_value "$1" "$@")"; shift ;;
      -H | --host | -host | --hostfile | -hostfile | --machinefile) several_nodes=true; mpirun_arguments+=("$1") ;;
      *) mpirun_arguments+=("$1") ;;
    esac
    shift
  done
  die 2 "a lone -- must stand between the options of $SCRIPT and the command of allreco; see --help"
}

check_is_count() { [[ "$2" =~ ^[1-9][0-9]*$ ]] || die 2 "$1 must be a positive number, found '$2'"; }
check_is_number() { [[ "$2" =~ ^(0|[1-9][0-9]*)$ ]] || die 2 "$1 must be a whole number from 0, found '$2'"; }

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
    local name
    for name in $(compgen -e | grep -E '^(OMP|NCCL|CUDA|CUBLAS)_'); do mpirun_arguments+=(-x "$name"); done
  fi
}

# What the ranks of a killed mpirun leave in /dev/shm, on this host: memory that nobody uses, and that no end of a process frees. Only
# this user's, and only what no process has open or mapped. Open files are looked at first: who has closed one has mapped it by then.
clear_dead_segments() {
  local directory="${OMPI_MCA_btl_vader_backing_directory:-/dev/shm}" segment cleared=0
  for segment in "$directory/vader_segment.$(uname -n)".* "$directory/vader_segment.$(uname -n | cut -d . -f 1)".*; do
    [[ -f "$segment" && -O "$segment" ]] || continue
    if [[ -n "$(find /proc/[0-9]*/fd -lname "$segment" -print -quit 2> /dev/null)" ]]; then continue; fi
    if grep -qsF -- "$segment" /proc/[0-9]*/maps; then continue; fi
    rm -f -- "$segment" && cleared=$((cleared + 1))
  done
  if ((cleared > 0)); then say "cleared $cleared segment(s) of shared memory that killed ranks had left in $directory" >&2; fi
}

# Before the first attempt: the output directory, and what an older run may have left in it.
remember_output_dir() {
  output_dir="$(option_value output_dir "$@")"
  config_before="$(identity_of "$output_dir/config.cfg")"
  checkpoints_before="$(list_with_identities)"
  asked="$(option_value resume_from_checkpoint "$@")"
  progress=0
  if [[ "$asked" == auto ]]; then progress="$(progress_of "$output_dir")"; fi
}

# Whether the output directory still is as it was before the first attempt, perhaps with an older run in it.
is_untouched() { [[ "$asked" != auto && "$(identity_of "$output_dir/config.cfg")" == "$config_before" ]]; }

list_with_identities() {
  local path
  checkpoints_of "$output_dir" | while IFS= read -r path; do printf '%s %s\n' "$(identity_of "$path")" "$path"; done
}

# The newest checkpoint that an attempt of this script wrote.
newest_own_checkpoint() {
  list_with_identities | { grep -Fxv -e "$checkpoints_before" || true; } | tail -n 1 | cut -d ' ' -f 5-
}

# Fills `attempt_arguments` and `going_on` for the next attempt. An older run's checkpoints must not be taken for those of
# this one: that run was to be overwritten, or this one started at another of its checkpoints.
choose_restart() {
  local own from=auto
  attempt_arguments=("$@")
  going_on="from the start, as it had not begun"
  if is_untouched; then return; fi
  if [[ -n "$asked" && "$asked" != auto ]]; then
    own="$(newest_own_checkpoint)"
    going_on="from $asked, as it has saved nothing yet"
    if [[ -z "$own" ]]; then return; fi
    if [[ "$own" != "$(newest_checkpoint "$output_dir")" ]]; then from="$own"; fi
  fi
  resume_arguments "$from" "$@"
  attempt_arguments=("${resuming[@]}")
  own="$(newest_checkpoint "$output_dir")"
  if [[ "$from" != auto ]]; then own="$from"; fi
  going_on="from ${own:-the start, as it has saved nothing yet}"
}

# Counts the faults since the training last came further than it had ever been.
count_fault() {
  local now=0
  if ! is_untouched; then now="$(progress_of "$output_dir")"; fi
  if ((now > progress)); then
    progress="$now"
    faults_without_progress=0
  else
    faults_without_progress=$((faults_without_progress + 1))
  fi
}

# Whether to try again after exit_code, with a word about it either way.
wants_restart() {
  local ended="train ended with exit code $exit_code (attempt $attempt of $((max_restarts + 1)))"
  if [[ -n "$stop_signal" ]]; then
    say_how_it_stopped
    return 1
  fi
  if ! is_fault "$exit_code" || ((max_restarts == 0)); then return 1; fi
  count_fault
  if ((attempt > max_restarts)); then
    say "$ended; that was the last of --max-restarts $max_restarts" >&2
    return 1
  fi
  if ((faults_without_progress >= MAX_FAULTS_WITHOUT_PROGRESS)); then
    say "$ended; giving up: $faults_without_progress faults in a row and no step after $progress. Its messages are above" >&2
    return 1
  fi
  return 0
}

say_how_it_stopped() {
  if ((exit_code == EXIT_REQUEUE)); then
    say "stopped by SIG$stop_signal; the same command with --resume_from_checkpoint auto" \
      "goes on from $(newest_checkpoint "$output_dir" | grep . || printf 'the start: nothing was saved yet')" >&2
  else
    say "asked to stop by SIG$stop_signal, and train ended with exit code $exit_code" >&2
  fi
}

# A pause that a stop signal ends.
pause_before_restart() {
  local seconds=$((restart_pause_s << faults_without_progress))
  say "train ended with exit code $exit_code (attempt $attempt of $((max_restarts + 1))); going on $going_on" \
    "in $seconds s" >&2
  sleep "$seconds" &
  child=$!
  wait_for_child
}

supervise_training() {
  local attempt=1 faults_without_progress=0 attempt_arguments=("$@") going_on=""
  remember_output_dir "$@"
  trap_stop_signals
  while :; do
    start_child "${command[@]}" "${attempt_arguments[@]}"
    wait_for_child
    settle_exit_code
    clear_dead_segments
    wants_restart || break
    choose_restart "$@"
    pause_before_restart
    if [[ -n "$stop_signal" ]]; then
      exit_code="$EXIT_REQUEUE"
      say_how_it_stopped
      break
    fi
    attempt=$((attempt + 1))
  done
  exit "$exit_code"
}

parse_arguments "$@"
while [[ "$1" != -- ]]; do shift; done
shift
[[ -n "$ranks" ]] || die 2 "-n is missing: how many ranks? see --help"
check_is_count -n "$ranks"
if [[ -n "$gpus_per_task" ]]; then check_is_count --gpus-per-task "$gpus_per_task"; fi
check_is_number --max-restarts "$max_restarts"
check_is_number --restart-pause "$restart_pause_s"
program="$ROOT/build/$preset/allreco"
[[ -x "$program" ]] || die 2 "$program is missing: run launch/build.sh $preset first"
command -v mpirun > /dev/null || die 2 "mpirun is missing: run launch/setup.sh first"
python="$ROOT/.venv/bin/python"
[[ -x "$python" ]] || python=python3
choose_threads
add_mpirun_flags
starter=("$program")
if [[ -n "$gpus_per_task" ]]; then starter=("$ROOT/launch/rank_gpus.sh" "$gpus_per_task" "$program"); fi
command=(mpirun -n "$ranks" "${mpirun_arguments[@]}" "${starter[@]}")
say "OMP_NUM_THREADS=$OMP_NUM_THREADS${OMP_WAIT_POLICY:+ OMP_WAIT_POLICY=$OMP_WAIT_POLICY}$(printf ' %q' "${command[@]}" "$@")" >&2
clear_dead_segments
if [[ "${1:-}" == train ]]; then supervise_training "$@"; fi
if ((max_restarts > 0)); then die 2 "--max-restarts is for train: '${1:-}' has no checkpoints to go on from"; fi
exec "${command[@]}" "$@"
