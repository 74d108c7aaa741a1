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
# shellcheck source=launch/gpu/items.sh
source "$(dirname "$0")/gpu/items.sh"

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
