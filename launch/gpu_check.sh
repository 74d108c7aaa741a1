#!/usr/bin/env bash
# Runs everything that only a machine with a GPU can show, and writes what it saw to a file: builds the preset `cuda`; the op and
# golden tests on the GPU; training on the GPU against the CPU, dense and in 4 bits; the NCCL data plane with 1, 2 and 4 ranks
# that share one GPU; a table of tokens per second; then the whole test suite.
#
#   launch/gpu_check.sh [--output FILE] [--no-setup]
#
#   --output     the result file, by default gpu_check.txt; what each item printed goes to FILE.logs/
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
  log="$result.logs/${title//[^0-9a-zA-Z]/_}.txt"
  "$@" > "$log" 2>&1 || rc=$?
  if ((rc == 0)); then
    write "PASS  $title ($((SECONDS - start)) s)"
    return
  fi
  num_failed=$((num_failed + 1))
  write "FAIL  $title (exit code $rc)"
  { grep -m 15 -iE 'error|fail|fault|expected' "$log" || tail -n 15 "$log"; } | sed 's/^/      /' | tee -a "$result"
}

launcher=() # what starts train's program: nothing, or on_ranks N
train() { # train DIR OPTIONS...
  local dir="$1"
  shift
  "${launcher[@]}" "$PROGRAM" train --model_name_or_path "$MODEL" --dataset "$scratch/dataset" --output_dir "$dir" \
    --logging_steps 1 --save_strategy no --max_steps "${max_steps:-20}" --per_device_train_batch_size 8 --dtype float32 "$@"
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

# on DEVICE NAME OPTIONS...: 20 steps into NAME-DEVICE.
on() { train "$scratch/$2-$1" --device "$1" "${@:3}"; }

# on_ranks N COMMAND...: on that many ranks that share the first GPU. NCCL takes each for another host (NCCL_HOSTID), so it
# talks over the loopback interface.
on_ranks() {
  local ranks="$1" visible="${CUDA_VISIBLE_DEVICES:-0}"
  shift
  CUDA_VISIBLE_DEVICES="${visible%%,*}" NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1 NCCL_DEBUG=WARN OMP_NUM_THREADS=1 \
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none -n "$ranks" "$@"
}

# The data-plane suite, in which NCCL must not be skipped.
nccl_suite() {
  local log="$scratch/nccl-$1.log"
  on_ranks "$1" "$BUILD/tests/dist/test_dist" --gtest_filter='Mpi*' 2>&1 | tee "$log" || return 1
  if grep SKIPPED "$log"; then return 1; fi
  grep '/nccl' "$log" > /dev/null
}

# train_on_ranks N DIR OPTIONS...: the global batch stays that of world size 1.
train_on_ranks() {
  local launcher=(on_ranks "$1") dir="$2"
  shift 2
  train "$dir" --device cuda --allow_gpu_sharing true --global_batch_size 8 "$@"
}

sharing_is_refused() {
  local launcher=(on_ranks 2) rc=0 log="$scratch/refused.log"
  train "$scratch/refused" --device cuda 2>&1 | tee "$log" || rc=$?
  ((rc == 2)) || { printf 'expected exit code 2, found %s\n' "$rc"; return 1; }
  grep 'ranks 0, 1 share the GPU' "$log"
}

# lost_rank SIGNAL: rank 1 of 4 gets it in the middle of training. The run must end by itself, with an error, and where the rank
# still is there, name it.
lost_rank() {
  local dir="$scratch/lost-$1" log="$scratch/lost-$1.log" max_steps=1000000 rc=0 sent=false pid run i
  train_on_ranks 4 "$dir" --ddp_timeout 5 > "$log" 2>&1 &
  run=$!
  for ((i = 0; i < 600; ++i)); do
    if grep -s '"loss"' "$dir/metrics.jsonl" > /dev/null; then break; fi
    sleep 0.1
  done
  for pid in $(pgrep -f "^$PROGRAM train .*$dir"); do
    if tr '\0' '\n' < "/proc/$pid/environ" | grep -x OMPI_COMM_WORLD_RANK=1; then kill "-$1" "$pid" && sent=true; break; fi
  done
  for ((i = 0; i < 600; ++i)); do
    kill -0 "$run" 2> /dev/null || break
    sleep 0.1
  done
  pkill -KILL -f "^$PROGRAM train .*$dir" || true
  wait "$run" || rc=$?
  cat "$log"
  "$sent" || { printf 'error: the run ended before rank 1 got its signal\n'; return 1; }
  ((i < 600)) || { printf 'error: the run did not end within 60 s\n'; return 1; }
  ((rc != 0 && rc != 2)) || { printf 'error: expected an exit code other than 0 and 2, found %s\n' "$rc"; return 1; }
  [[ "$1" == KILL ]] || grep -E '1 of 4 ranks missing; rank 1 on ' "$log"
}

# same_bits A B: the losses and the adapter.
same_bits() {
  cmp "$1/adapter_model.safetensors" "$2/adapter_model.safetensors" || return 1
  python3 - "$1/metrics.jsonl" "$2/metrics.jsonl" << 'PYTHON'
import json, sys
a, b = ([row["loss"] for row in map(json.loads, open(path)) if "loss" in row] for path in sys.argv[1:])
print(f"error: {sum(x != y for x, y in zip(a, b))} of {len(a)} and {len(b)} losses differ, expected none of 20")
sys.exit(a != b or len(a) != 20)
PYTHON
}

test_on_gpu() { ALLRECO_TEST_DEVICE=cuda "$BUILD/tests/model/test_model" --gtest_filter="$1"; }

# speed NAME MAX-LENGTH BATCH OPTIONS...: random tokens of that length through TinyLlama-1.1B's shape, bf16, LoRA r 16.
speed() {
  local length="$2" batch="$3" dir="$scratch/speed-$1"
  shift 3
  python3 -c "
import json, random
random.seed(1)
for _ in range(256):
    ids = [random.randrange(32000) for _ in range($length)]
    print(json.dumps({'input_ids': ids, 'labels': ids}))" > "$dir.jsonl" || return 1 # (errexit is off inside an item)
  "$PROGRAM" prepare --tokens "$dir.jsonl" --vocab_size 32000 --output_dir "$dir-data" || return 1
  "$PROGRAM" train --model_name_or_path random:tinyllama-1.1b --dtype bfloat16 --device cuda --lora_r 16 \
    --dataset "$dir-data" --output_dir "$dir" --per_device_train_batch_size "$batch" --max_steps 20 --logging_steps 10 \
    --save_strategy no "$@" || return 1
  python3 -c "
import json
row = [r for r in map(json.loads, open('$dir/metrics.jsonl')) if 'tokens_per_second' in r][-1]
print(f\"$length tokens x $batch: {row['tokens_per_second']:.0f} tokens/s, step {row['step_ms']:.0f} ms, \"
      f\"peak {row['peak_gpu_bytes'] / 2**30:.1f} GiB\")" | tee "$dir.txt"
}

rm -rf "$result.logs"
mkdir -p "$result.logs"
: > "$result"
write "allreco on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), $(git -C "$ROOT" rev-parse --short HEAD 2> /dev/null || printf 'no git')"
nvidia-smi | tee -a "$result"
if "$with_setup"; then
  item "setup" "$ROOT/launch/setup.sh" --cuda
  item "build of the preset cuda" "$ROOT/launch/build.sh" cuda
fi
[[ -x "$PROGRAM" ]] || die 1 "$PROGRAM was not built; see $result"
item "doctor" "$PROGRAM" doctor
item "ops on the GPU against the CPU kernels" test_on_gpu 'Ops*Device*:OpsAttention*:Device*'
item "decoder on the GPU against transformers and PEFT" test_on_gpu '*Golden*:*Stories*:*LoraForms*:Dora*'
item "dataset" prepare
# on_both NAME OPTIONS...: the same training on the CPU and on the GPU.
on_both() {
  item "$1: training on the CPU" on cpu "$@"
  item "$1: training on the GPU" on cuda "$@"
  item "$1: GPU against CPU, 20 losses" compare_losses "$scratch/$1-cpu" "$scratch/$1-cuda"
}
on_both lora
on_both qlora --load_in_4bit true --optim adamw_8bit
on_both pissa --init_lora_weights pissa
on_both dora --use_dora true --lora_dropout 0.1
for ranks in 1 2 4; do
  item "NCCL: the data-plane suite on $ranks rank(s) of one GPU" nccl_suite "$ranks"
done
item "two ranks on one GPU are refused unless allowed" sharing_is_refused
for ranks in 2 4; do
  item "training on $ranks ranks of one GPU" train_on_ranks "$ranks" "$scratch/gpu-$ranks"
  item "$ranks ranks against 1: 20 losses" compare_losses "$scratch/lora-cuda" "$scratch/gpu-$ranks"
done
for ranks in 1 2 4; do
  item "deterministic training on $ranks rank(s) of one GPU" train_on_ranks "$ranks" "$scratch/same-$ranks" --deterministic true
  ((ranks == 1)) || item "deterministic: $ranks ranks against 1, bit by bit" same_bits "$scratch/same-1" "$scratch/same-$ranks"
done
for signal in STOP KILL; do item "rank 1 of 4 gets SIG$signal in training" lost_rank "$signal"; done
for shape in "512 8" "2048 4" "2048 16" "2048 4 --lora_dropout 0.05" \
  "2048 4 --load_in_4bit true --bnb_4bit_use_double_quant true --optim adamw_8bit"; do
  read -r length batch options <<< "$shape"
  name="${shape//[^0-9a-z]/_}"
  # shellcheck disable=SC2086 # several options
  item "speed, TinyLlama-1.1B bf16 LoRA r16, $length tokens x $batch $options" speed "$name" "$length" "$batch" $options
  if [[ -s "$scratch/speed-$name.txt" ]]; then sed 's/^/      /' "$scratch/speed-$name.txt" | tee -a "$result"; fi
done
item "all tests" ctest --test-dir "$BUILD" --exclude-regex '^lint\.' --parallel "$(num_cores)" --output-on-failure --no-tests=error
write "$num_failed item(s) failed; $SECONDS s; this is $result"
((num_failed == 0)) || exit 1
