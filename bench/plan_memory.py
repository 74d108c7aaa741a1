#!/usr/bin/env python3
"""`bench --plan` beside what `bench` then takes: peak memory of one process on the CPU, in GiB.

  bench/plan_memory.py --allreco build/release/allreco [--only REGEX]

Shapes up to 1.2 billion parameters, dense and in NF4, with and without checkpointing; each of them plans in one process and trains two steps in another. Ends
with 1 when a peak is more than 10 % off. The largest takes about 5 GiB; a combination that the free memory does not hold is left out and named.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
NF4, SAVES, BF16 = ["--load_in_4bit", "true"], ["--gradient_checkpointing", "true"], ["--dtype", "bfloat16"]
F32 = ["--dtype", "float32"]
SMALL = ("random:smollm2-135m", 256, 4)
LARGE = ("random:tinyllama-1.1b", 256, 2)
COMBINATIONS = [
    (*SMALL, F32), (*SMALL, F32 + SAVES), (*SMALL, F32 + NF4), (*SMALL, F32 + NF4 + SAVES),
    (*SMALL, BF16), (*SMALL, BF16 + SAVES), (*SMALL, BF16 + NF4), (*SMALL, BF16 + NF4 + SAVES + ["--optim", "adamw_8bit"]),
    ("random:smollm2-135m", 1024, 2, BF16 + ["--target_modules", "all-linear", "--lora_r", "64"]),
    ("random:gemma3-270m", 256, 2, BF16), ("random:qwen2.5-0.5b", 256, 2, BF16 + SAVES), ("random:qwen3-0.6b", 256, 2, BF16 + NF4),
    (*LARGE, BF16 + NF4), (*LARGE, BF16 + NF4 + SAVES), ("random:llama-3.2-1b", 256, 2, BF16 + SAVES),
]
KINDS = ["base", "lora_state", "activations", "workspace", "runtime", "peak"]
TOLERANCE = 0.1


def bench(allreco: pathlib.Path, options: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as directory:
        output = pathlib.Path(directory) / "bench.json"
        done = subprocess.run([str(allreco), "bench", "--device", "cpu", "--output", str(output), *options], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(options)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(output.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco")
    parser.add_argument("--only", default="", help="a regular expression that the options must match")
    parser.add_argument("--threads", default=str(os.cpu_count()))
    arguments = parser.parse_args()
    print(f"  {'model':<24} {'tokens':>7} {'options':<44} " + " ".join(f"{kind:>17}" for kind in KINDS) + f" {'error':>8}   (planned / taken, GiB)", flush=True)
    errors, left_out = [], []
    for model, length, batch, options in COMBINATIONS:
        shown = " ".join(options).replace("--", "").replace(" true", "")
        if not re.search(arguments.only, f"{model} {shown}"):
            continue
        common = ["--model_name_or_path", model, "--sequence_length", str(length), "--per_device_train_batch_size", str(batch), "--threads",
                  arguments.threads, *options]
        plan = bench(arguments.allreco, ["--plan", "true", *common])
        if plan["memory_bytes"]["peak"] > 0.8 * plan["available_bytes"]:
            left_out.append(f"{model} {shown}")
            continue
        planned = plan["memory_bytes"]
        taken = bench(arguments.allreco, [*common, "--warmup_steps", "1", "--max_steps", "1"])["ranks"][0]["memory_bytes"]
        errors.append(planned["peak"] / taken["peak"] - 1)
        both = " ".join(f"{planned[kind] / 2**30:>8.3f} {taken[kind] / 2**30:>8.3f}" for kind in KINDS)
        print(f"  {model.removeprefix('random:'):<24} {length * batch:>7} {shown:<44} {both} {100 * errors[-1]:>+6.1f} %", flush=True)
    for name in left_out:
        print(f"  left out, there is too little memory free: {name}")
    worst = max(map(abs, errors), default=0.0)
    print(f"worst of {len(errors)}: {100 * worst:.1f} %")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
