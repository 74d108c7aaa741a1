# Shared by the scripts of launch/: sourced, never run. Sets ROOT, the top of the repository.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts that source this use it
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
SCRIPT="$(basename "$0")"

say() { printf '%s: %s\n' "$SCRIPT" "$*"; }

# die CODE MESSAGE...: 2 for what the caller can put right, 1 for the rest.
die() {
  local code="$1"
  shift
  printf '%s: error: %s\n' "$SCRIPT" "$*" >&2
  exit "$code"
}

# Prints the opening comment of the script that runs: it is its help text.
show_help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# The value of an option that must have one: require_value --preset "$@" (with "$@" starting at the option).
require_value() {
  [[ $# -ge 3 && -n "$3" ]] || die 2 "$1 wants a value; see --help"
  printf '%s' "$3"
}

# The number of cores this process may use: its CPU set, and a container's CPU quota where there is one.
num_cores() {
  local cores quota period
  cores="$(nproc)"
  if read -r quota period 2>/dev/null < /sys/fs/cgroup/cpu.max && [[ "$quota" != max ]]; then
    quota=$(((quota + period - 1) / period))
    ((quota < cores)) && cores="$quota"
  fi
  ((cores < 1)) && cores=1
  printf '%s' "$cores"
}

# Memory that is free now, in MB, bounded by a container's limit.
free_memory_mb() {
  local free limit used
  free="$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)"
  if read -r limit 2>/dev/null < /sys/fs/cgroup/memory.max && [[ "$limit" != max ]]; then
    read -r used < /sys/fs/cgroup/memory.current
    limit=$(((limit - used) / 1024 / 1024))
    ((limit < free)) && free="$limit"
  fi
  printf '%s' "$free"
}
