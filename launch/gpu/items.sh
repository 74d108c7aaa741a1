# What the items of gpu_check.sh do: sourced by it. PROGRAM, BUILD, MODEL, DATA and scratch are its own.
# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154  # the script that sources this sets them

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

bfloat16_on_ranks() {
  train_on_ranks "$1" "$scratch/bf16-$1-$one_gpu_each" --dtype bfloat16 &&
    compare_losses "$scratch/bfloat16-cuda" "$scratch/bf16-$1-$one_gpu_each" 2e-2
}
broadcast_on_ranks() {
  train_on_ranks "$1" "$scratch/broadcast-$1-$one_gpu_each" --dtype float32 --model_loading broadcast &&
    compare_losses "$scratch/lora-cuda" "$scratch/broadcast-$1-$one_gpu_each"
}
