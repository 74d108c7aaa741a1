#!/usr/bin/env bash
# Configures and builds allreco into build/<preset>; the program is build/<preset>/allreco.
#
#   launch/build.sh [preset] [cmake --build arguments...]
#
#   release   optimised, CPU only (the default)
#   debug     with address and undefined-behaviour sanitizers
#   tsan      with the thread sanitizer; libraries are not instrumented, so only what our own threads share is checked
#   cuda      with CUDA and NCCL; needs launch/setup.sh --cuda, no GPU
#
# ALLRECO_WERROR=ON makes warnings errors, as in continuous integration.
# Jobs: as many as there are cores and memory for (2 GB each); JOBS sets another number.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"
JOB_MB=2000

num_jobs() {
  local jobs by_memory
  jobs="$(num_cores)"
  by_memory=$(($(free_memory_mb) / JOB_MB))
  ((by_memory < jobs)) && jobs="$by_memory"
  ((jobs < 1)) && jobs=1
  printf '%s' "$jobs"
}

case "${1:-}" in
  -h | --help) show_help; exit 0 ;;
esac
preset="${1:-release}"
shift || true
[[ -x "$ROOT/.venv/bin/python" ]] || die 2 "$ROOT/.venv is missing: run launch/setup.sh first"
cd "$ROOT"
jobs="${JOBS:-$(num_jobs)}"
cmake --preset "$preset" "-DALLRECO_WERROR=${ALLRECO_WERROR:-OFF}" || die 2 "cmake could not configure preset '$preset' (there are: release, debug, tsan, cuda)"
say "building preset $preset with $jobs jobs"
cmake --build --preset "$preset" --parallel "$jobs" "$@"
say "built build/$preset in $SECONDS s"
