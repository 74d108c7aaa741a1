#!/usr/bin/env bash
# Sets up, builds and runs all tests.
#
#   launch/test.sh [--preset release|debug|cuda] [--slurm] [ctest arguments...]
#
#   --slurm   instead, the tests on a real SLURM of two nodes, which it installs and starts on this machine; as root
#
# For example: launch/test.sh --preset debug -R core
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

preset=release
with_slurm=false
SLURM_PACKAGES=(slurm-wlm slurm-wlm-basic-plugins munge libpmix2)
ctest_arguments=()
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --preset)
      preset="$(require_value --preset "$@")"
      shift
      ;;
    --slurm) with_slurm=true ;;
    *) ctest_arguments+=("$1") ;;
  esac
  shift
done

# Passes ctest's output on, and says how long all of this took just before ctest's own summary, which stays last.
with_time_before_summary() {
  local line
  while IFS= read -r line; do
    if [[ "$line" =~ ^[0-9]+%\ tests\ passed ]]; then
      say "took $SECONDS s: setup $setup_s s, build $((built_at_s - setup_s)) s, tests $((SECONDS - built_at_s)) s"
    fi
    printf '%s\n' "$line"
  done
}

install_slurm() {
  ((EUID == 0)) || die 2 "--slurm starts SLURM's daemons, which takes root"
  if dpkg-query -W -f='${db:Status-Status}\n' "${SLURM_PACKAGES[@]}" 2> /dev/null | grep -cx installed |
    grep -qx "${#SLURM_PACKAGES[@]}"; then return; fi
  say "installing ${SLURM_PACKAGES[*]}"
  apt-get update -q || die 1 "apt-get update failed: is there a network?"
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${SLURM_PACKAGES[@]}" ||
    die 1 "apt-get could not install ${SLURM_PACKAGES[*]}"
}

setup_flags=(--browser)
[[ "$preset" == cuda ]] && setup_flags+=(--cuda)
"$ROOT/launch/setup.sh" "${setup_flags[@]}"
if "$with_slurm"; then
  install_slurm
  ctest_arguments+=(-C slurm -L slurm)
fi
setup_s="$SECONDS"
"$ROOT/launch/build.sh" "$preset"
built_at_s="$SECONDS"
ctest --test-dir "$ROOT/build/$preset" --parallel "$(num_cores)" --output-on-failure --no-tests=error \
  "${ctest_arguments[@]}" 2>&1 | with_time_before_summary
