#!/usr/bin/env bash
# The grid of docs/scaling.md: three shapes on 1, 2 and 4 ranks, strong and weak, on this machine, one thread a rank.
#
#   bench/scaling_study.sh OUTPUT_DIR [options of launch/scaling.sh, for both of its calls]
#
# stories260k and SmolLM2-135M's shape dense, TinyLlama's shape in NF4. Twenty minutes on 2 idle cores; the same command goes on where it was stopped. Prints the tables as they stand on
# the page. bench/scaling_tables.py prints them again.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
[[ $# -gt 0 && "$1" != -* ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
output="$1"
shift
common=(--ranks "1,2,4" --mode "strong,weak" --threads 1 --dtype bfloat16 "$@")
# A cell that fails is in the tables with its reason.
"$root/launch/scaling.sh" --models "$root/examples/stories260k" --batch_size 32 --micro_batch_size 8 --sequence_length 256 --steps 20 \
  --output_dir "$output/stories260k" "${common[@]}" || true
"$root/launch/scaling.sh" --models random:smollm2-135m --batch_size 8 --micro_batch_size 2 --sequence_length 128 --steps 6 --warmup_steps 1 \
  --output_dir "$output/smollm2-135m" "${common[@]}" || true
"$root/launch/scaling.sh" --models random:tinyllama-1.1b --storage nf4 --batch_size 4 --micro_batch_size 1 --sequence_length 128 --steps 3 --warmup_steps 1 \
  --output_dir "$output/tinyllama-1.1b" "${common[@]}" || true
"$root/bench/scaling_tables.py" "$output"/*/scaling.json
