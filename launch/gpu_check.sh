#!/usr/bin/env bash
# Runs everything that only a machine with a GPU can show, and writes what it saw to a file, each result as it comes, the most
# valuable ones first: ops and golden models on the GPU; trainings on the GPU against the CPU, in float32, in bfloat16 and in 4 bits;
# exact resume; evaluate; loading and checkpointing; the NCCL plane; a table of tokens per second; then the whole test suite. What
# needs several ranks runs on ranks that share the first GPU, and, where there are several GPUs, again on one rank per GPU.
#
#   launch/gpu_check.sh [--output FILE] [--no-setup] [--resume] [--only REGEX] [--list]
#
#   --output     the result file, by default gpu_check.txt; what each item printed goes to FILE.logs/
#   --no-setup   .venv and build/cuda are there and up to date
#   --resume     goes on where a run of the same program was cut: an item that FILE says has passed is not run again
#   --only       the items whose titles match (and the dataset, which most need)
#   --list       says which items there are on this machine, in their order, and runs none
#
# Exit code 0: all passed; 1: something failed (see the file); 2: no GPU here.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"

result="$ROOT/gpu_check.txt"
with_setup=true
resumes=false
lists=false
only=""
while (($# > 0)); do
  case "$1" in
    -h | --help) show_help; exit 0 ;;
    --output) result="$(require_value "$1" "$@")"; shift ;;
    --no-setup) with_setup=false ;;
    --resume) resumes=true ;;
    --only) only="$(require_value "$1" "$@")"; shift ;;
    --list) lists=true ;;
    *) die 2 "unknown argument '$1'; see --help" ;;
  esac
  shift
done
num_gpus="$({ nvidia-smi -L 2> /dev/null || true; } | grep -c '^GPU' || true)"
if ((num_gpus == 0)); then
  die 2 "no GPU here: nvidia-smi is missing or lists none. The preset cuda builds without one: launch/build.sh cuda"
fi

BUILD="$ROOT/build/cuda"
PROGRAM="$BUILD/allreco"
MODEL="$ROOT/examples/stories260k"
DATA="$ROOT/examples/gift-cards"
scratch=""
num_failed=0

write() { printf '%s\n' "$*" | tee -a "$result"; }

# item TITLE COMMAND...: PASS or FAIL, with the first lines that tell why.
item() {
  local title="$1" log start="$SECONDS" rc=0
  shift
  if [[ -n "$only" && "$title" != dataset && ! "$title" =~ $only ]]; then return; fi
  if "$lists"; then printf '%s\n' "$title"; return; fi
  # What others compare with must be there.
  if "$resumes" && [[ "$title" != dataset ]] && grep -qF "PASS  $title (" "$result"; then return; fi
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
  rm -rf "$dir" # of a run that was cut
  "${launcher[@]}" "$PROGRAM" train --model_name_or_path "$MODEL" --dataset "$scratch/dataset" --output_dir "$dir" \
    --logging_steps 1 --save_strategy no --max_steps "${max_steps:-20}" --per_device_train_batch_size 8 "$@"
}

prepare() {
  rm -rf "$scratch/dataset"
  "$PROGRAM" prepare --reviews "$DATA/reviews.json.gz" --metadata "$DATA/metadata.json.gz" \
    --tokenizer "$MODEL/tokenizer.model" --output_dir "$scratch/dataset"
}

# compare_losses A B [TOLERANCE]: relative difference of every step's loss at most that (1e-4), over 20 steps.
compare_losses() {
  python3 - "$1/metrics.jsonl" "$2/metrics.jsonl" "${3:-1e-4}" << 'PYTHON'
import json, sys
a, b = ([row["loss"] for row in map(json.loads, open(path)) if "loss" in row] for path in sys.argv[1:3])
tolerance = float(sys.argv[3])
worst = max(abs(x - y) / abs(x) for x, y in zip(a, b)) if len(a) == len(b) == 20 else float("inf")
print(f"error: {len(a)} and {len(b)} losses, worst relative difference {worst:.2e}, expected 20 and at most {tolerance}")
sys.exit(not worst <= tolerance)
PYTHON
}

# on DEVICE NAME OPTIONS...: 20 steps into NAME-DEVICE.
on() { train "$scratch/$2-$1" --device "$1" "${@:3}"; }

# on_ranks N COMMAND...: on that many ranks that share the first GPU; NCCL takes each for another host (NCCL_HOSTID), so it
# talks over the loopback interface. With one_gpu_each=true each rank takes a GPU of its own, and NCCL what connects them.
one_gpu_each=false
on_ranks() {
  local ranks="$1" visible="${CUDA_VISIBLE_DEVICES:-0}" share=()
  shift
  if ! "$one_gpu_each"; then share=(CUDA_VISIBLE_DEVICES="${visible%%,*}" NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1); fi
  env "${share[@]}" NCCL_DEBUG=WARN OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --oversubscribe --bind-to none -n "$ranks" "$@"
}

# nccl_suite RANKS [VARIABLE=VALUE...]: the data-plane suite, in which NCCL must not be skipped.
nccl_suite() {
  local log="$scratch/nccl-$1.log" ranks="$1"
  shift
  on_ranks "$ranks" env "$@" "$BUILD/tests/dist/test_dist" --gtest_filter='Mpi*' 2>&1 | tee "$log" || return 1
  if grep SKIPPED "$log"; then return 1; fi
  grep '/nccl' "$log" > /dev/null
}

# train_on_ranks N DIR OPTIONS...: the global batch stays that of world size 1.
train_on_ranks() {
  local launcher=(on_ranks "$1") dir="$2"
  shift 2
  local share=(--allow_gpu_sharing true)
  if "$one_gpu_each"; then share=(); fi
  train "$dir" --device cuda "${share[@]}" --global_batch_size 8 "$@"
}

sharing_is_refused() {
  local launcher=(on_ranks 2) rc=0 log="$scratch/refused.log"
  train "$scratch/refused" --device cuda --dtype float32 2>&1 | tee "$log" || rc=$?
  ((rc == 2)) || { printf 'expected exit code 2, found %s\n' "$rc"; return 1; }
  grep 'ranks 0, 1 share the GPU' "$log"
}

# lost_rank SIGNAL: rank 1 of lost_among gets it in the middle of training. The run must end by itself, with an error, and where the rank
# still is there, name it.
lost_among=4
lost_rank() {
  local dir="$scratch/lost-$1" log="$scratch/lost-$1.log" max_steps=1000000 rc=0 sent=false pid run i
  rm -rf "$dir"
  train_on_ranks "$lost_among" "$dir" --ddp_timeout 5 --dtype float32 > "$log" 2>&1 &
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
  [[ "$1" == KILL ]] || grep -E "1 of $lost_among ranks missing; rank 1 on " "$log"
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

# twice NAME OPTIONS...: the same training on the GPU two times, with the same bits.
twice() {
  on cuda "$1-first" "${@:2}" && on cuda "$1-again" "${@:2}" && same_bits "$scratch/$1-first-cuda" "$scratch/$1-again-cuda"
}

# resumed NAME OPTIONS...: 20 steps in one go, and 20 that stop after 10 and go on, with the same bits.
resumed() {
  local whole="$scratch/$1-whole" cut="$scratch/$1-cut" max_steps=20
  shift
  train "$whole" --device cuda "$@" || return 1
  rm -rf "$cut"
  printf 'save_strategy = steps\nsave_steps = 10\n' > "$cut.cfg"
  train_saving "$cut" --device cuda "$@" || return 1
  rm -rf "$cut/checkpoint-20" "$cut/last"
  train_saving "$cut" --device cuda --resume_from_checkpoint "$cut/checkpoint-10" "$@" || return 1
  cmp "$whole/adapter_model.safetensors" "$cut/adapter_model.safetensors"
}
train_saving() {
  local dir="$1"
  shift
  "$PROGRAM" train --config "$dir.cfg" --model_name_or_path "$MODEL" --dataset "$scratch/dataset" --output_dir "$dir" --logging_steps 1 \
    --max_steps 20 --per_device_train_batch_size 8 "$@"
}

# evaluated DTYPE TOLERANCE: the loss and the accuracy that evaluate finds on the GPU and on the CPU.
evaluated() {
  local device
  for device in cpu cuda; do
    "$PROGRAM" evaluate --model_name_or_path "$MODEL" --adapter_name_or_path "$scratch/lora-cuda" --dataset "$scratch/dataset" --split test \
      --dtype "$1" --device "$device" --output_dir "$scratch/evaluated-$1-$device" || return 1
  done
  python3 - "$scratch/evaluated-$1" "$2" << 'PYTHON'
import json, sys
def numbers(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}/{key}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value
cpu, cuda = (dict(numbers(json.load(open(f"{sys.argv[1]}-{device}/evaluation.json")))) for device in ("cpu", "cuda"))
tolerance = float(sys.argv[2])
losses = [path for path in cpu if path.rsplit("/", 1)[-1] in ("loss", "mean_nll", "perplexity")]
worst = max((abs(cpu[path] - cuda[path]) / abs(cpu[path]) for path in losses), default=float("inf"))
print(f"error: {len(losses)} losses, worst relative difference {worst:.2e}, expected some and at most {tolerance}")
sys.exit(not worst <= tolerance)
PYTHON
}

# like NAME OPTIONS...: the training lora-cuda again with options that change its speed or memory alone: losses within 1e-4.
like() { on cuda "$1" "${@:2}" && compare_losses "$scratch/lora-cuda" "$scratch/$1-cuda"; }

# A window of 512 tokens over rows of 2048: with flash attention's window a token takes about as long as in rows of 512, and through the
# plain path, which fills a matrix of scores, many times as long.
sliding_window() {
  speed window-512 512 8 random:gemma3-270m 262144 || return 1
  speed window-2048 2048 2 random:gemma3-270m 262144 || return 1
  python3 - "$scratch"/speed-window-{512,2048}/metrics.jsonl << 'PYTHON'
import json, sys
short, long = ([row for row in map(json.loads, open(path)) if "tokens_per_second" in row][-1]["tokens_per_second"] for path in sys.argv[1:])
print(f"error: {long:.0f} tokens/s in rows of 2048 and {short:.0f} in rows of 512, expected at least half as many")
sys.exit(not long >= short / 2)
PYTHON
}

test_on_gpu() { ALLRECO_TEST_DEVICE=cuda "$BUILD/tests/model/test_model" --gtest_filter="$1"; }

# speed NAME LENGTH BATCH MODEL VOCABULARY OPTIONS...: random tokens of that length through a shape, bf16, LoRA r 16.
speed() {
  local length="$2" batch="$3" model="$4" vocabulary="$5" dir="$scratch/speed-$1"
  shift 5
  python3 -c "
import json, random
random.seed(1)
for _ in range(256):
    ids = [random.randrange($vocabulary) for _ in range($length)]
    print(json.dumps({'input_ids': ids, 'labels': ids}))" > "$dir.jsonl" || return 1 # (errexit is off inside an item)
  "$PROGRAM" prepare --tokens "$dir.jsonl" --vocab_size "$vocabulary" --output_dir "$dir-data" || return 1
  "$PROGRAM" train --model_name_or_path "$model" --dtype bfloat16 --device cuda --lora_r 16 \
    --dataset "$dir-data" --output_dir "$dir" --per_device_train_batch_size "$batch" --max_steps 20 --logging_steps 10 \
    --save_strategy no "$@" || return 1
  python3 -c "
import json
row = [r for r in map(json.loads, open('$dir/metrics.jsonl')) if 'tokens_per_second' in r][-1]
print(f\"$length tokens x $batch: {row['tokens_per_second']:.0f} tokens/s, step {row['step_ms']:.0f} ms, \"
      f\"peak {row['peak_gpu_bytes'] / 2**30:.1f} GiB\")" | tee "$dir.txt"
}

# ---- the items ----

# on_both NAME TOLERANCE OPTIONS...: the same training on the CPU and on the GPU.
on_both() {
  local name="$1" tolerance="$2"
  shift 2
  item "$name: training on the CPU" on cpu "$name" "$@"
  item "$name: training on the GPU" on cuda "$name" "$@"
  item "$name: GPU against CPU, 20 losses" compare_losses "$scratch/$name-cpu" "$scratch/$name-cuda" "$tolerance"
}

# NCCL and trainings on RANKS..., and a rank that is stopped or killed among as many as the last.
items_of_ranks() {
  local where="ranks that share a GPU" ranks signal
  if "$one_gpu_each"; then where="ranks of a GPU each"; fi
  for ranks in "$@"; do
    item "NCCL: the data-plane suite on $ranks $where" nccl_suite "$ranks"
    item "NCCL's own choice of algorithms on $ranks $where" nccl_suite "$ranks" ALLRECO_TEST_NCCL_DEFAULTS=1
  done
  for ranks in "${@:2}"; do
    item "training on $ranks $where" train_on_ranks "$ranks" "$scratch/gpu-$ranks-$one_gpu_each" --dtype float32
    item "$ranks $where against 1: 20 losses" compare_losses "$scratch/lora-cuda" "$scratch/gpu-$ranks-$one_gpu_each"
    item "bfloat16 on $ranks $where against 1: 20 losses" bfloat16_on_ranks "$ranks"
    item "broadcast loading on $ranks $where: 20 losses" broadcast_on_ranks "$ranks"
  done
  for ranks in "$@"; do
    item "deterministic training on $ranks $where" train_on_ranks "$ranks" "$scratch/same-$ranks-$one_gpu_each" --deterministic true --dtype bfloat16
    ((ranks == $1)) || item "deterministic, bfloat16: $ranks $where against $1, bit by bit" \
      same_bits "$scratch/same-$1-$one_gpu_each" "$scratch/same-$ranks-$one_gpu_each"
  done
  lost_among="${*: -1}"
  for signal in STOP KILL; do item "rank 1 of ${*: -1} $where gets SIG$signal in training" lost_rank "$signal"; done
}
bfloat16_on_ranks() {
  train_on_ranks "$1" "$scratch/bf16-$1-$one_gpu_each" --dtype bfloat16 &&
    compare_losses "$scratch/bfloat16-cuda" "$scratch/bf16-$1-$one_gpu_each" 2e-2
}
broadcast_on_ranks() {
  train_on_ranks "$1" "$scratch/broadcast-$1-$one_gpu_each" --dtype float32 --model_loading broadcast &&
    compare_losses "$scratch/lora-cuda" "$scratch/broadcast-$1-$one_gpu_each"
}

all_items() {
  local ranks several=() shape length batch options name
  item "dataset" prepare
  item "doctor" "$PROGRAM" doctor
  item "ops on the GPU against the CPU kernels" test_on_gpu 'Ops*Device*:OpsAttention*:Device*'
  item "decoder on the GPU against transformers and PEFT" test_on_gpu '*Golden*:*Stories*:*LoraForms*:Dora*'
  on_both lora 1e-4 --dtype float32
  # bfloat16 has 8 bits: a loss that sums many roundings of 2^-9 differs by some of them between two orders of the sums.
  on_both bfloat16 2e-2 --dtype bfloat16
  item "bfloat16, deterministic: the same bits twice" twice exact --dtype bfloat16 --deterministic true
  item "bfloat16, deterministic: an exact resume" resumed exact --dtype bfloat16 --deterministic true
  item "float32: an exact resume" resumed plain --dtype float32 --deterministic true
  item "evaluate in float32, GPU against CPU" evaluated float32 1e-4
  item "evaluate in bfloat16, GPU against CPU" evaluated bfloat16 2e-2
  item "gradient checkpointing: 20 losses" like checkpointing --dtype float32 --gradient_checkpointing true
  item "broadcast loading: 20 losses" like broadcast --dtype float32 --model_loading broadcast
  on_both qlora 1e-4 --dtype float32 --load_in_4bit true --optim adamw_8bit
  item "a sliding window in bfloat16 takes flash attention" sliding_window
  one_gpu_each=false
  items_of_ranks 1 2 4
  item "two ranks on one GPU are refused unless allowed" sharing_is_refused
  for ((ranks = 1; ranks <= num_gpus; ranks *= 2)); do several+=("$ranks"); done
  one_gpu_each=true
  if ((num_gpus > 1)); then items_of_ranks "${several[@]}"; fi
  one_gpu_each=false
  on_both pissa 1e-4 --dtype float32 --init_lora_weights pissa
  on_both dora 1e-4 --dtype float32 --use_dora true --lora_dropout 0.1
  for shape in "512 8" "2048 4" "2048 16" "2048 4 --lora_dropout 0.05" \
    "2048 4 --load_in_4bit true --bnb_4bit_use_double_quant true --optim adamw_8bit"; do
    read -r length batch options <<< "$shape"
    name="${shape//[^0-9a-z]/_}"
    # shellcheck disable=SC2086 # several options
    item "speed, TinyLlama-1.1B bf16 LoRA r16, $length tokens x $batch $options" \
      speed "$name" "$length" "$batch" random:tinyllama-1.1b 32000 $options
    if [[ -s "$scratch/speed-$name.txt" ]]; then sed 's/^/      /' "$scratch/speed-$name.txt" | tee -a "$result"; fi
  done
  item "all tests" ctest --test-dir "$BUILD" --exclude-regex '^lint\.' --parallel "$(num_cores)" --output-on-failure --no-tests=error
}

if "$lists"; then all_items; exit 0; fi
# What items leave to one another stays beside the result, for --resume.
scratch="$result.scratch"
if ! "$resumes"; then rm -rf "$result.logs" "$scratch"; : > "$result"; fi
mkdir -p "$result.logs" "$scratch"
[[ -e "$result" ]] || : > "$result"
write "allreco on $num_gpus GPU(s), $(date -u +%Y-%m-%dT%H:%MZ), $(git -C "$ROOT" rev-parse --short HEAD 2> /dev/null || printf 'no git')"
nvidia-smi | tee -a "$result"
if "$with_setup"; then
  item "setup" "$ROOT/launch/setup.sh" --cuda
  item "build of the preset cuda" "$ROOT/launch/build.sh" cuda
fi
[[ -x "$PROGRAM" ]] || die 1 "$PROGRAM was not built; see $result"
all_items
write "$num_failed item(s) failed; $SECONDS s; this is $result"
((num_failed == 0)) || exit 1
rm -rf "$scratch"
