#!/usr/bin/env python3
"""Two ranks of one thread beside one rank of two threads, on the same global batch: tokens per second, in turns.

  bench/ranks_or_threads.py [--preset release] [--pairs 3]

The ratio (ranks / threads) of each pair and their median; ends with 1 when the median is below 0.9. On 2 cores that nothing else uses; a busy machine costs the ranks more,
since they wait for one another.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAST = 0.9


def tokens_per_second(preset_options: list[str], ranks: int, step: list[str]) -> float:
    with tempfile.TemporaryDirectory() as directory:
        output = pathlib.Path(directory) / "bench.json"
        command = [str(ROOT / "launch/run.sh"), "-n", str(ranks), "--threads", str(2 // ranks), *preset_options, "--", "bench", *step, "--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
        result = json.loads(output.read_text())
        median_ms = max(rank["median_step_ms"] for rank in result["ranks"])  # a hiccup of the machine does not move it
        return 1000 * result["tokens"] / result["num_steps"] / median_ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="release")
    parser.add_argument("--model", default="random:smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--sequence_length", default="256")
    parser.add_argument("--batch", type=int, default=8, help="examples of a step; half of them for each rank, half of them a micro-batch")
    parser.add_argument("--steps", default="6")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    step = ["--model_name_or_path", options.model, "--dtype", options.dtype, "--sequence_length", options.sequence_length, "--global_batch_size",
            str(options.batch), "--per_device_train_batch_size", str(options.batch // 2), "--max_steps", options.steps, "--warmup_steps", "1"]
    ratios = []
    for _ in range(options.pairs):
        threads, ranks = (tokens_per_second(["--preset", options.preset], n, step) for n in (1, 2))
        ratios.append(ranks / threads)
        print(f"1 rank of 2 threads {threads:.0f} tokens/s, 2 ranks of 1 thread {ranks:.0f}: {ratios[-1]:.3f}", flush=True)
    print(f"median {statistics.median(ratios):.3f}")
    return int(statistics.median(ratios) < LEAST)


if __name__ == "__main__":
    sys.exit(main())
