#!/usr/bin/env bash
# clang-format and clang-tidy over the sources.
#
#   launch/lint.sh [--fix] [--preset P] [FILE or FOLDER...]
#
#   --fix      lets clang-format rewrite the files instead of complaining
#   --preset   the build whose compile commands clang-tidy uses, by default release
#
# Without files: clang-format looks at src, tests and bench, clang-tidy at src. clang-tidy is slow on files that include
# libtorch (10 to 20 s each), so the test lint.clang_tidy looks at what the last commit changed; here it is everything,
# sixteen sources in one run.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

fix=false
preset=release
paths=()
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --fix) fix=true ;;
    --preset) preset="$(require_value "$1" "$@")"; shift ;;
    -*) die 2 "unknown argument '$1'; see --help" ;;
    *) paths+=("$(realpath -e --relative-to="$ROOT" "$1")") ;;
  esac
  shift
done
cd "$ROOT"
for tool in clang-format-14 clang-tidy-14; do
  command -v "$tool" > /dev/null || die 2 "$tool is missing: run launch/setup.sh"
done

find_sources() { find "$@" -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \
  -o -name '*.inc' \) -print0; }

check_format() {
  local flags=(--dry-run -Werror) sources
  if "$fix"; then flags=(-i); fi
  mapfile -d '' sources < <(find_sources "$@")
  say "clang-format ${flags[*]} on ${#sources[@]} files"
  clang-format-14 "${flags[@]}" "${sources[@]}" || die 1 "the format is not right; repair it with launch/lint.sh --fix"
}

# Headers are looked at through the sources that include them; only files that this build compiles are: the other
# backend's are the other preset's.
check_with_clang_tidy() {
  [[ -f "build/$preset/compile_commands.json" ]] || die 2 "build/$preset is not configured: run launch/build.sh $preset first"
  say "clang-tidy on $*"
  "$ROOT/.venv/bin/python" -B tests/lint/clang_tidy.py "$ROOT" "build/$preset" "$@" || die 1 "clang-tidy found something; see above"
}

if ((${#paths[@]} > 0)); then
  check_format "${paths[@]}"
  check_with_clang_tidy "${paths[@]}"
else
  existing=(src tests)
  [[ -d bench ]] && existing+=(bench)
  check_format "${existing[@]}"
  check_with_clang_tidy --together src
fi
say "clean; took $SECONDS s"
