#!/usr/bin/env bash
# clang-format and clang-tidy over the sources.
#
#   launch/lint.sh [--fix] [--preset P] [FILE or FOLDER...]
#
#   --fix      lets clang-format rewrite the files instead of complaining
#   --preset   the build whose compile commands clang-tidy uses, by default release
#
# Without files: clang-format looks at src, tests and bench, clang-tidy at src. clang-tidy is slow on files that include
# libtorch (10 to 20 s each). The tests check the format and the rules between folders; clang-tidy runs only here.
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

# Headers are looked at through the sources that include them.
check_with_clang_tidy() {
  local commands="build/$preset/compile_commands.json" sources
  [[ -f "$commands" ]] || die 2 "$commands is missing: run launch/build.sh $preset first"
  # Files that this build compiles; the other backend's are the other preset's. isa_*.cpp are GCC's alone: they use its
  # vector built-ins, which clang lacks.
  mapfile -d '' sources < <(find "$@" -name '*.cpp' ! -name 'isa_*.cpp' -type f -print0 | while IFS= read -r -d '' path; do
    if grep -qF "\"$ROOT/$path\"" "$commands"; then printf '%s\0' "$path"; fi
  done)
  say "clang-tidy on ${#sources[@]} files"
  ((${#sources[@]} == 0)) && return
  # Sources may have pragmas for GCC alone. The suppressed line counts the warnings in other people's headers.
  printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(num_cores)" clang-tidy-14 --quiet -p "build/$preset" \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unknown-pragmas 2> >(grep -v 'warnings\? generated\.$' >&2) ||
    die 1 "clang-tidy found something; see above"
}

if ((${#paths[@]} > 0)); then
  check_format "${paths[@]}"
  check_with_clang_tidy "${paths[@]}"
else
  existing=(src tests)
  [[ -d bench ]] && existing+=(bench)
  check_format "${existing[@]}"
  check_with_clang_tidy src
fi
say "clean; took $SECONDS s"
