#!/usr/bin/env bash
# The main job from nothing, on data of this repository: sets up, builds, prepares the reviews, evaluates the model as it is,
# fine-tunes it with LoRA on 2 ranks, evaluates it again, and shows it all on one page.
#
#   launch/quickstart.sh [--model NAME] [--output_dir DIR] [--ranks N]
#
#   --model   stories260k (the default; in this repository, a minute), smollm2-135m (ten minutes) or gemma3-270m; the
#             last two are downloaded once into models/ by launch/get_model.sh, which names their licences
#
# Everything it writes lies in DIR (default: quickstart_output), which is emptied first if an earlier quickstart made it.
# Another run of yours there is left alone: the script stops.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

model=stories260k
output=""
ranks=2
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --model) model="$(require_value "$1" "$@")"; shift ;;
    --output_dir) output="$(require_value "$1" "$@")"; shift ;;
    --ranks) ranks="$(require_value "$1" "$@")"; shift ;;
    *) die 2 "unknown argument '$1'; see --help" ;;
  esac
  shift
done

DATA="$ROOT/examples/gift-cards"
case "$model" in
  stories260k)
    MODEL="$ROOT/examples/stories260k"
    CONFIG="$ROOT/configs/quickstart.cfg"
    template=amazon-next-item
    : "${output:=$ROOT/quickstart_output}"
    ;;
  smollm2-135m | gemma3-270m)
    MODEL="$ROOT/models/$model"
    CONFIG="$ROOT/configs/quickstart-real-model.cfg"
    template=auto
    : "${output:=$ROOT/quickstart_output-$model}"
    ;;
  *) die 2 "unknown model '$model'; there are stories260k, smollm2-135m and gemma3-270m. For another one, the commands are in README.md" ;;
esac
MARK="$output/.made-by-quickstart"
phases=()

# phase TITLE COMMAND...: runs a command and remembers how long it took.
phase() {
  local title="$1" start="$SECONDS"
  shift
  printf '\n== %s\n' "$title"
  "$@" || die "$?" "$title failed; its message is above"
  phases+=("$(printf '%6d s  %s' $((SECONDS - start)) "$title")")
}

empty_output() {
  if [[ -e "$output" && ! -e "$MARK" && -n "$(ls -A "$output")" ]]; then
    die 2 "$output holds something that no quickstart made. Move it, or give another --output_dir"
  fi
  rm -rf "$output"
  mkdir -p "$output"
  touch "$MARK"
}

allreco() { "$ROOT/launch/run.sh" -n "$ranks" -- "$@"; }

prepare() {
  allreco prepare --reviews "$DATA/reviews.json.gz" --metadata "$DATA/metadata.json.gz" \
    --tokenizer "$MODEL" --template "$template" --output_dir "$output/dataset"
}
train() {
  allreco train --config "$CONFIG" --model_name_or_path "$MODEL" --dataset "$output/dataset" --output_dir "$output/adapter"
}
# evaluate NAME [more arguments]: the numbers are printed with their baselines, and kept in NAME/evaluation.json.
evaluate() {
  local name="$1"
  shift
  allreco evaluate --model_name_or_path "$MODEL" --dataset "$output/dataset" --split test --output_dir "$output/$name" "$@"
}

report() {
  "$ROOT/build/release/allreco" report "$output/before" "$output/adapter" "$output/after" --output "$output/report.html" \
    --title "allreco: $model on gift cards"
}

empty_output
phase "set up" "$ROOT/launch/setup.sh"
phase "build" "$ROOT/launch/build.sh" release --target allreco
if [[ ! -e "$MODEL" ]]; then phase "get $model" "$ROOT/launch/get_model.sh" "$model" "$MODEL"; fi
phase "prepare: reviews to a dataset" prepare
phase "evaluate before training" evaluate before
phase "train: LoRA on $ranks ranks" train
phase "evaluate after training" evaluate after --adapter_name_or_path "$output/adapter"
phase "report" report

printf '\n== What it took\n'
printf '%s\n' "${phases[@]}"
say "took $SECONDS s; all of it is in $output"
say "the page: $output/report.html"
