#!/usr/bin/env bash
# Stands in for the program where a test is about launch/run.sh alone: notes its arguments in $SCRIPT_DIR/calls and does,
# at its n-th call, what line n of $SCRIPT_DIR/plan says.
set -euo pipefail

output_dir=""
previous=""
for argument in "$@"; do
  [[ "$previous" != --output_dir ]] || output_dir="$argument"
  previous="$argument"
done

# What the program leaves in its output directory, as far as run.sh looks at it.
open_output_dir() { mkdir -p "$output_dir" && date +%N > "$output_dir/config.cfg.tmp" && mv "$output_dir"/config.cfg{.tmp,}; }
save() { mkdir "$output_dir/checkpoint-$1"; }
log_step() { printf '{"step": %s, "epoch": 0.5, "loss": 1.0}\n' "$1" >> "$output_dir/metrics.jsonl"; }
overwrite() { rm -rf "$output_dir"/checkpoint-* "$output_dir/metrics.jsonl" && open_output_dir; }
stop_when_asked() {
  trap 'save 7; exit 85' USR1
  touch "$SCRIPT_DIR/listens"
  while :; do sleep 0.05; done
}

printf '%s\n' "$*" >> "$SCRIPT_DIR/calls"
eval "$(sed -n "$(wc -l < "$SCRIPT_DIR/calls")p" "$SCRIPT_DIR/plan")"
