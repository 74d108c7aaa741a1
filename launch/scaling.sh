#!/usr/bin/env bash
# How fast training is on more ranks, for several models: one table, one page.
#
#   launch/scaling.sh --models M,M... --ranks N,N... --output_dir DIR [options] [-- options of allreco bench...]
#
#   --models      model directories or random:NAME (docs/models.md)
#   --ranks       numbers of ranks, for example 1,2,4
#   --output_dir  gets scaling.json, scaling.csv, scaling.html, and a directory per cell with its command, output and result
#   --mode        strong: the same global batch for all ranks; weak: the same batch for each rank; default strong,weak
#   --storage     dense, nf4 (the base in 4 bits), or both; default dense
#   --dtype       float32 or bfloat16; default bfloat16
#   --batch_size  examples: of a step with strong, of each rank with weak; default 8
#   --micro_batch_size  the most examples that a rank computes at once; default 4
#   --sequence_length   tokens of an example of random tokens; default 512
#   --dataset     measure on its training split instead; says also how long an epoch takes
#   --epoch_examples    examples of an epoch, where --dataset does not say it
#   --threads     CPU threads of each rank; default: this machine's cores divided by the most ranks, at least 1
#   --steps, --warmup_steps  steps that are measured, and before them; default 10 and 2
#   --price       of a rank for an hour, in any currency: adds the cost of an epoch
#   --train       also trains each model on --dataset, by this configuration, on the most ranks, and evaluates it: accuracy
#                 with its interval beside size, time, memory and cost
#   --launcher    mpirun: all cells one after another, here; slurm: a chain of jobs, one per cell, and one that collects them
#   --slurm_arguments   for sbatch, in one word: "--partition=gpu --gpus-per-task=1 --time=30"
#   --cell_timeout      seconds after which a cell counts as failed; default 3600
#   --preset      runs build/P/allreco, by default build/release/allreco
#   --again       measures cells anew that have a result
#   --collect     only writes table and page of what DIR has
#
# After the cells it measures the sums between the ranks, and a model predicts each cell from the others, and steps on more
# ranks (docs/cluster.md, launch/cluster_model.sh).
#
# A cell is measured once: the same command again runs what is missing or failed. A cell that fails is a cell with its reason.
# Exit code 0 when all cells have a result, 1 when one failed, 2 for wrong arguments.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"
if [[ "${1:-}" == -h || "${1:-}" == --help ]]; then show_help; exit 0; fi
python="$ROOT/.venv/bin/python"
[[ -x "$python" ]] || python=python3
exec "$python" -B "$ROOT/launch/scaling/main.py" --cores "$(num_cores)" "$@"
