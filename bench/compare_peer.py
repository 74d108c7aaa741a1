#!/usr/bin/env python3
"""LoRA training beside transformers + PEFT: the same token file, initial adapter, dtype and threads, in one run, turn by turn.

  bench/compare_peer.py --peer-python VENV/bin/python --model examples/stories260k --tokens tokens.jsonl --vocab-size 512

tokens.jsonl is what `bench/peer/hf_lora.py tokenize` writes. VENV needs torch transformers peft safetensors. Prints each run's tokens per second
and peak resident memory, the medians' ratio, and the largest relative difference of the losses, step by step.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = ROOT / "bench/peer/hf_lora.py"
WARM_STEPS = 2  # neither side's first steps count

MAKE_ADAPTER = """
import sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
torch.manual_seed(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
get_peft_model(model, LoraConfig(r=16, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM")).save_pretrained(sys.argv[2])
"""


def run(command, **environment):
    import os
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def peer(a, work):
    out = run([a.peer_python, PEER, "train", a.tokens, "--model", a.model, "--adapter", work / "adapter", "--dtype", a.dtype, "--batch", a.batch,
               "--threads", a.threads, "--limit", a.batch * a.steps, "--steps", a.steps, "--warm-steps", WARM_STEPS, "--losses", work / "losses.json"])
    figures = json.loads(out.strip().splitlines()[-1])
    return figures["tokens_per_second"], figures["peak_rss_mib"], json.loads((work / "losses.json").read_text())


def allreco(a, work):
    out = work / "run"
    shutil.rmtree(out, ignore_errors=True)
    run([a.allreco, "train", "--model_name_or_path", a.model, "--adapter_name_or_path", work / "adapter", "--dataset", work / "dataset", "--output_dir", out,
         "--dtype", a.dtype, "--per_device_train_batch_size", a.batch, "--shuffle_dataset", "false", "--max_steps", a.steps, "--learning_rate", "1e-3",
         "--weight_decay", "1e-3", "--warmup_steps", "3", "--logging_steps", "1", "--save_strategy", "no", "--threads", a.threads])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    timed = lines[WARM_STEPS + 1:]
    rate = sum(line["tokens"] for line in timed) / sum(line["step_ms"] for line in timed) * 1000
    return rate, lines[-1]["peak_rss_bytes"] / 2**20, [line["loss"] for line in lines]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--allreco", default=ROOT / "build/release/allreco")
    p.add_argument("--peer-python", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--tokens", required=True)
    p.add_argument("--vocab-size", required=True)
    p.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        rows = pathlib.Path(a.tokens).read_text().splitlines(keepends=True)[:a.batch * a.steps]
        (work / "rows.jsonl").write_text("".join(rows))
        run([a.peer_python, "-c", MAKE_ADAPTER, a.model, work / "adapter"], HF_HUB_OFFLINE="1")
        run([a.allreco, "prepare", "--tokens", work / "rows.jsonl", "--vocab_size", a.vocab_size, "--output_dir", work / "dataset"])
        figures = {"peer": [], "allreco": []}
        for turn in range(a.repeats):
            for name, measure in (("peer", peer), ("allreco", allreco)):
                rate, memory, losses = measure(a, work)
                figures[name].append((rate, memory, losses))
                print(f"{name:8} {rate:10.0f} tokens/s  {memory:7.0f} MiB peak", flush=True)
        median = {name: statistics.median(rate for rate, _, _ in runs) for name, runs in figures.items()}
        memory = {name: max(m for _, m, _ in runs) for name, runs in figures.items()}
        worst = max(abs(x - y) / y for x, y in zip(figures["allreco"][0][2], figures["peer"][0][2], strict=True))
        print(f"{a.model} {a.dtype} batch {a.batch}, {a.steps} steps, {a.threads} threads: {median['allreco'] / median['peer']:.2f} times the peer's speed, "
              f"{memory['allreco'] / memory['peer']:.2f} of its memory; losses differ by {worst:.1e} relative at most")


if __name__ == "__main__":
    main()
