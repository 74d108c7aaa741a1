#!/usr/bin/env bash
# Sets up, builds and runs all tests.
#
#   launch/test.sh [--preset release|debug|cuda] [ctest arguments...]
#
# For example: launch/test.sh --preset debug -R core
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

preset=release
ctest_arguments=()
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --preset)
      preset="$(require_value --preset "$@")"
      shift
      ;;
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

setup_flags=()
[[ "$preset" == cuda ]] && setup_flags+=(--cuda)
"$ROOT/launch/setup.sh" "${setup_flags[@]}"
setup_s="$SECONDS"
"$ROOT/launch/build.sh" "$preset"
built_at_s="$SECONDS"
ctest --test-dir "$ROOT/build/$preset" --parallel "$(num_cores)" --output-on-failure --no-tests=error \
  "${ctest_arguments[@]}" 2>&1 | with_time_before_summary
