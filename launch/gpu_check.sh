#!/usr/bin/env bash
# Runs everything that only a machine with a GPU can show, and writes what it saw to a file: builds the preset `cuda`, the
# whole test suite, the op and golden tests on the GPU, training on the GPU against the CPU, and a table of
# tokens per second. Several ranks on one GPU are not possible yet, so NCCL between ranks needs a GPU for each.
#
#   launch/gpu_check.sh [--output FILE] [--no-setup]
#
#   --output     the result file, by default gpu_check.txt
#   --no-setup   .venv and build/cuda are there and up to date
#
# Exit code 0: all passed; 1: something failed (see the file); 2: no GPU here.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

result="$ROOT/gpu_check.txt"
with_setup=true
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --output) result="$(require_value "$1" "$@")"; shift ;;
    --no-setup) with_setup=false ;;
    *) die 2 "unknown argument '$1'; see --help" ;;
  esac
  shift
done
if ! command -v nvidia-smi > /dev/null || ! nvidia-smi -L > /dev/null 2>&1; then
  die 2 "no GPU here: nvidia-smi is missing or lists none. The preset cuda builds without one: launch/build.sh cuda"
fi

BUILD="$ROOT/build/cuda"
PROGRAM="$BUILD/allreco"
MODEL="$ROOT/examples/stories260k"
DATA="$ROOT/examples/gift-cards"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
num_failed=0

write() { printf '%s\n' "$*" | tee -a "$result"; }

# item TITLE COMMAND...: PASS or FAIL, with the first lines that tell why.
item() {
  local title="$1" log start="$SECONDS" rc=0
  shift
  log="$scratch/item.log"
  "$@" > "$log" 2>&1 || rc=$?
  if ((rc == 0)); then
    write "PASS  $title ($((SECONDS - start)) s)"
    return
  fi
  num_failed=$((num_failed + 1))
  write "FAIL  $title (exit code $rc)"
  { grep -m 15 -iE 'error|fail|fault|expected' "$log" || tail -n 15 "$log"; } | sed 's/^/      /' | tee -a "$result"
}

train() { # train DIR OPTIONS...
  local dir="$1"
  shift
  "$PROGRAM" train --model_name_or_path "$MODEL" --dataset "$scratch/dataset" --output_dir "$dir" \
    --logging_steps 1 --save_strategy no --max_steps 20 --per_device_train_batch_size 8 --dtype float32 "$@"
}

prepare() {
  "$PROGRAM" prepare --reviews "$DATA/reviews.json.gz" --metadata "$DATA/metadata.json.gz" \
    --tokenizer "$MODEL/tokenizer.model" --output_dir "$scratch/dataset"
}

# compare_losses A B: relative difference of every step's loss at most 1e-4, over 20 steps.
compare_losses() {
  python3 - "$1/metrics.jsonl" "$2/metrics.jsonl" << 'PYTHON'
import json, sys
a, b = ([row["loss"] for row in map(json.loads, open(path)) if "loss" in row] for path in sys.argv[1:])
worst = max(abs(x - y) / abs(x) for x, y in zip(a, b)) if len(a) == len(b) == 20 else float("inf")
print(f"error: {len(a)} and {len(b)} losses, worst relative difference {worst:.2e}, expected 20 and at most 1e-4")
sys.exit(not worst <= 1e-4)
PYTHON
}

on_cpu() { train "$scratch/cpu" --device cpu; }
on_gpu() { train "$scratch/gpu" --device cuda; }

test_on_gpu() { ALLRECO_TEST_DEVICE=cuda "$BUILD/tests/model/test_model" --gtest_filter="$1"; }

# speed MAX-LENGTH BATCH: random tokens of that length through TinyLlama-1.1B's shape, bf16, LoRA r 16.
speed() {
  local length="$1" batch="$2" dir="$scratch/speed-$1-$2"
  python3 -c "
import json, random
random.seed(1)
for _ in range(256):
    ids = [random.randrange(32000) for _ in range($length)]
    print(json.dumps({'input_ids': ids, 'labels': ids}))" > "$dir.jsonl"
  "$PROGRAM" prepare --tokens "$dir.jsonl" --vocab_size 32000 --output_dir "$dir-data"
  "$PROGRAM" train --model_name_or_path random:tinyllama-1.1b --dtype bfloat16 --device cuda --lora_r 16 \
    --dataset "$dir-data" --output_dir "$dir" --per_device_train_batch_size "$batch" --max_steps 20 --logging_steps 10 \
    --save_strategy no
  python3 -c "
import json
row = [r for r in map(json.loads, open('$dir/metrics.jsonl')) if 'tokens_per_second' in r][-1]
print(f\"$length tokens x $batch: {row['tokens_per_second']:.0f} tokens/s, step {row['step_ms']:.0f} ms, \"
      f\"peak {row['peak_gpu_bytes'] / 2**30:.1f} GiB\")" | tee "$dir.txt"
}

: > "$result"
write "allreco on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), $(git -C "$ROOT" rev-parse --short HEAD 2> /dev/null || printf 'no git')"
nvidia-smi | tee -a "$result"
if "$with_setup"; then
  item "setup" "$ROOT/launch/setup.sh" --cuda
  item "build of the preset cuda" "$ROOT/launch/build.sh" cuda
fi
[[ -x "$PROGRAM" ]] || die 1 "$PROGRAM was not built; see $result"
item "all tests" ctest --test-dir "$BUILD" --parallel "$(num_cores)" --output-on-failure --no-tests=error
item "ops on the GPU against the CPU kernels" test_on_gpu 'OpsDevice*:OpsAttention*:Device*'
item "decoder on the GPU against transformers and PEFT" test_on_gpu '*Golden*:*Stories*'
item "dataset" prepare
item "training on the CPU" on_cpu
item "training on the GPU, world size 1" on_gpu
item "GPU against CPU: 20 losses" compare_losses "$scratch/cpu" "$scratch/gpu"
for shape in "512 8" "2048 4" "2048 16"; do
  read -r length batch <<< "$shape"
  item "speed, TinyLlama-1.1B bf16 LoRA r16, $length tokens x $batch" speed "$length" "$batch"
  if [[ -s "$scratch/speed-$length-$batch.txt" ]]; then sed 's/^/      /' "$scratch/speed-$length-$batch.txt" | tee -a "$result"; fi
done
write "$num_failed item(s) failed; $SECONDS s; this is $result"
((num_failed == 0)) || exit 1
