#!/usr/bin/env bash
# Runs the fuzz targets and prints what each did; exit code 1 when one found something.
#
#   tests/fuzz/run.sh [--seconds N] [--jobs J] [--minimize] [TARGET...]
#
#   --seconds    for each target, by default 60
#   --jobs       targets at a time, by default 1
#   --minimize   afterwards keep in tests/fuzz/corpus/TARGET, beside seeds and regressions, 24 of the inputs up to 1 KiB that
#                together reach most
#
# Without targets: all of tests/fuzz/targets. Builds the preset `fuzz` (clang-14 and libclang-rt-14-dev), and keeps new
# inputs in build/fuzz/corpus/TARGET and findings in build/fuzz/findings/TARGET-*. To see a finding again:
#   build/fuzz/tests/fuzz/fuzz --target=TARGET FILE
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/../../launch/common.sh"

seconds=60
jobs=1
minimize=false
targets=()
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --seconds) seconds="$(require_value "$1" "$@")"; shift ;;
    --jobs) jobs="$(require_value "$1" "$@")"; shift ;;
    --minimize) minimize=true ;;
    -*) die 2 "unknown argument '$1'; see --help" ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if ((${#targets[@]} == 0)); then
  for file in "$ROOT"/tests/fuzz/targets/*.cpp; do targets+=("$(basename "$file" .cpp)"); done
fi

BUILD="$ROOT/build/fuzz"
# Inputs are at most 64 KiB. A reader may take a block of 64 MiB (a thousand times the largest input, see
# malloc_limit_mb), the process 1.5 GiB, of which libtorch and the sanitizers need 0.4; an input may take 10 s.
LIMITS=(-max_len=65536 -timeout=10 -rss_limit_mb=1536)
# The files that targets write for the readers; a target that crashes leaves its own there.
scratch="$(mktemp -d /dev/shm/fuzz-XXXXXX)"
trap 'rm -rf "$scratch"' EXIT
export TMPDIR="$scratch" OMP_NUM_THREADS=1 LSAN_OPTIONS="suppressions=$ROOT/tests/lsan.supp:print_suppressions=0"
export ASAN_OPTIONS="suppressions=$ROOT/tests/fuzz/asan.supp:allocator_may_return_null=1"
export BUILD ROOT seconds

# libhdf5 asks for whatever size a header claims, and gets along without: there only what is used counts.
malloc_limit_mb() {
  case "$1" in
    shard | dataset) echo 1000000000 ;;
    compressed) echo 192 ;; # a zstd frame may ask for a window of 128 MiB, as for the zstd tool; only what is used counts
    *) echo 64 ;;
  esac
}
export -f malloc_limit_mb

# shellcheck disable=SC2317  # xargs calls it
run_target() {
  local target="$1" found="$BUILD/corpus/$1" log="$BUILD/fuzz-$1.log"
  shift
  mkdir -p "$found" "$BUILD/findings"
  "$BUILD/tests/fuzz/fuzz" --target="$target" -malloc_limit_mb="$(malloc_limit_mb "$target")" \
    -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="$BUILD/findings/$target-" "$@" "$found" "$ROOT/tests/fuzz/corpus/$target" > "$log" 2>&1 ||
    echo "stat::failed: $?" >> "$log"
}
export -f run_target

statistic() { awk -v key="stat::$2:" '$1 == key { print $2 }' "$BUILD/fuzz-$1.log" | tail -n 1; }

print_table() {
  local target finding failed=0
  printf '%-18s %12s %10s %8s %9s %9s\n' target executions exec/s corpus 'peak MB' findings
  for target in "${targets[@]}"; do
    finding="$(statistic "$target" failed)"
    printf '%-18s %12s %10s %8s %9s %9s\n' "$target" "$(statistic "$target" number_of_executed_units)" \
      "$(statistic "$target" average_exec_per_sec)" \
      "$(find "$BUILD/corpus/$target" "$ROOT/tests/fuzz/corpus/$target" -type f | wc -l)" \
      "$(statistic "$target" peak_rss_mb)" "${finding:+see log}"
    [[ -z "$finding" ]] || failed=1
  done
  return "$failed"
}

# Seeds and regressions have names of their own and stay. What libFuzzer found is called after its SHA-1.
minimize_corpus() {
  local kept="$BUILD/minimal/$1" corpus="$ROOT/tests/fuzz/corpus/$1" name
  rm -rf "$kept" && mkdir -p "$kept"
  "$BUILD/tests/fuzz/fuzz" --target="$1" "${LIMITS[@]}" -malloc_limit_mb="$(malloc_limit_mb "$1")" -set_cover_merge=1 "$kept" \
    "$corpus" "$BUILD/corpus/$1" > "$BUILD/minimize-$1.log" 2>&1 || die 1 "minimising $1 failed; see $BUILD/minimize-$1.log"
  find "$corpus" -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
  while read -r name; do
    cp "$kept/$name" "$corpus/"
  done < <(find "$kept" -type f -size -1025c -printf '%s %f\n' | grep -vFf <(sha1sum "$corpus"/* | awk '{ print $1 }') |
    sort -rn | head -n 24 | cut -d ' ' -f 2)
}

cmake -S "$ROOT" --preset fuzz > "$scratch/configure.log" || { cat "$scratch/configure.log"; exit 1; }
ninja -C "$BUILD" fuzz > "$scratch/build.log" || { tail -n 40 "$scratch/build.log"; exit 1; }
rm -f "$BUILD"/fuzz-*.log
printf '%s\0' "${targets[@]}" |
  xargs -0 -P "$jobs" -I '{}' bash -c 'run_target "$@"' run_target '{}' "${LIMITS[@]}"
status=0
print_table || status=1
if "$minimize"; then
  for target in "${targets[@]}"; do minimize_corpus "$target"; done
fi
exit "$status"
