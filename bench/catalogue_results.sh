#!/usr/bin/env bash
# One row of docs/results.md: a model on one dataset, as it is and fine-tuned, over the whole catalogue beside all baselines.
#
#   bench/catalogue_results.sh MODEL DATASET OUTPUT_DIR [--steps N] [--users N] [--ranking exhaustive|beam]
#
#   MODEL, DATASET  directories of a model and of `allreco prepare --template amazon-next-item-open`
#   --steps         of 16 examples each; by default one epoch
#   --users         the first so many test examples; by default all
#   --ranking       by default exhaustive; beam (20 beams) for catalogues of thousands of items
#
# Trains with configs/quickstart-real-model.cfg. OUTPUT_DIR gets adapter, before, after, comparison.json and report.html.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/../launch/common.sh"

arguments=()
steps=0
users=0
ranking=exhaustive
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --steps) steps="$(require_value "$1" "$@")"; shift ;;
    --users) users="$(require_value "$1" "$@")"; shift ;;
    --ranking) ranking="$(require_value "$1" "$@")"; shift ;;
    -*) die 2 "unknown argument '$1'; see --help" ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
((${#arguments[@]} == 3)) || die 2 "MODEL, DATASET and OUTPUT_DIR are needed; see --help"
model="${arguments[0]}"
dataset="${arguments[1]}"
output="${arguments[2]}"
allreco="$ROOT/build/release/allreco"

limit=()
((steps == 0)) || limit=(--max_steps "$steps")

evaluate() {
  local name="$1"
  shift
  "$allreco" evaluate --model_name_or_path "$model" --dtype bfloat16 --dataset "$dataset" --split test --generate false \
    --ranking "$ranking" --num_beams 20 --max_tokens_per_batch 16384 --max_eval_samples "$users" --output_dir "$output/$name" "$@"
}

evaluate before
"$allreco" train --config "$ROOT/configs/quickstart-real-model.cfg" --model_name_or_path "$model" --dataset "$dataset" \
  --output_dir "$output/adapter" "${limit[@]}"
evaluate after --adapter_name_or_path "$output/adapter"
"$allreco" compare "$output/before" "$output/after" --output "$output/comparison.json"
"$allreco" report "$output/before" "$output/adapter" "$output/after" --output "$output/report.html"
