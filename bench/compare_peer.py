#!/usr/bin/env python3
"""LoRA or QLoRA training beside transformers + PEFT (+ bitsandbytes): the same token file, initial adapter, dtype and threads, in one run, turn by turn.

  bench/compare_peer.py --peer-python VENV/bin/python --model examples/stories260k --tokens tokens.jsonl --vocab-size 512 [--load-in-4bit] [--ranks 1,2]

tokens.jsonl is what `bench/peer/hf_lora.py tokenize` writes; `hf_lora.py save` makes a model directory of a published shape. VENV needs torch
transformers peft safetensors, and bitsandbytes for --load-in-4bit. Prints each run's tokens per second and its peak memory, of loading and of all;
the medians' ratio; and the largest relative difference of the losses, step by step. Memory is resident memory, and with several ranks the sum of
their PSS (a page that n processes share counts 1/n in each), looked at every 50 ms; with --device cuda, GPU memory. More ranks than one share --threads
and the batch. PEFT keeps its factors in float32: in bfloat16 the peer runs under autocast on a GPU, and the losses differ by rounding.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

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
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def field_mib(pid, file, key):
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/{file}").read_text(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) / 1024 if found else 0


def ranks_of(program, parent):
    """The processes that run `program` below `parent`, itself included."""
    found = []
    for pid in [parent, *map(int, pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]:
        if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(program) + "-program":
            found.append(pid)
    return found


def run_and_watch(program, command, log):
    """Peak MiB until the line that says that training starts, and of the whole run."""
    loading = peak = 0
    with open(log, "w") as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, "OMP_WAIT_POLICY": "passive", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
        while process.poll() is None:
            try:
                pids = ranks_of(program, process.pid)
            except (FileNotFoundError, ProcessLookupError):
                break
            one = len(pids) == 1 and pids[0] == process.pid
            peak = max(peak, field_mib(pids[0], "status", "VmHWM") if one else sum(field_mib(pid, "smaps_rollup", "Pss") for pid in pids))
            if "starting at" not in pathlib.Path(log).read_text():
                loading = peak
            time.sleep(0.05)
    if process.wait():
        sys.exit(f"{' '.join(map(str, command))}\nexit code {process.returncode}\n{pathlib.Path(log).read_text()[-3000:]}")
    return loading, peak


def peer(a, work):
    out = run([a.peer_python, PEER, "train", a.tokens, "--model", a.model, "--adapter", work / "adapter", "--dtype", a.dtype, "--batch", a.batch,
               "--threads", a.threads, "--limit", a.batch * a.steps, "--steps", a.steps, "--warm-steps", WARM_STEPS, "--losses", work / "losses.json",
               "--device", a.device, *(["--load-in-4bit"] if a.load_in_4bit else [])])
    figures = json.loads(out.strip().splitlines()[-1])
    peaks = (figures["peak_gpu_mib"],) * 2 if a.device == "cuda" else (figures["loading_peak_rss_mib"], figures["peak_rss_mib"])
    return figures["tokens_per_second"], *peaks, json.loads((work / "losses.json").read_text())


def allreco(a, work, ranks):
    out = work / "run"
    shutil.rmtree(out, ignore_errors=True)
    launcher = [] if ranks == 1 else ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", ranks]
    loading, peak = run_and_watch(a.allreco, launcher + [
        a.allreco, "train", "--model_name_or_path", a.model, "--adapter_name_or_path", work / "adapter", "--dataset", work / "dataset", "--output_dir", out,
        "--dtype", a.dtype, "--per_device_train_batch_size", a.batch // ranks, "--shuffle_dataset", "false", "--max_steps", a.steps,
        "--learning_rate", "1e-3", "--weight_decay", "1e-3", "--warmup_steps", "3", "--logging_steps", "1", "--save_strategy", "no",
        "--threads", max(1, a.threads // ranks), "--device", a.device, *(["--load_in_4bit", "true", "--bnb_4bit_use_double_quant", "true"] if a.load_in_4bit else [])], work / "run.log")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    if a.device == "cuda":
        loading = peak = lines[-1]["peak_gpu_bytes"] / 2**20
    timed = lines[WARM_STEPS + 1:]
    rate = sum(line["tokens"] for line in timed) / sum(line["step_ms"] for line in timed) * 1000
    return rate, loading, peak, [line["loss"] for line in lines]


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
    p.add_argument("--load-in-4bit", action="store_true")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--ranks", default="1", help="numbers of ranks to measure")
    a = p.parse_args()
    if any(a.batch % int(n) for n in a.ranks.split(",")):
        p.error(f"--ranks {a.ranks}: expected divisors of --batch {a.batch}")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        rows = pathlib.Path(a.tokens).read_text().splitlines(keepends=True)[:a.batch * a.steps]
        (work / "rows.jsonl").write_text("".join(rows))
        run([a.peer_python, "-c", MAKE_ADAPTER, a.model, work / "adapter"], HF_HUB_OFFLINE="1")
        run([a.allreco, "prepare", "--tokens", work / "rows.jsonl", "--vocab_size", a.vocab_size, "--output_dir", work / "dataset"])
        sides = {"peer": peer} | {f"allreco, {n} rank(s)": lambda a, work, n=n: allreco(a, work, n) for n in map(int, a.ranks.split(","))}
        figures = {name: [] for name in sides}
        for turn in range(a.repeats):
            for name, measure in sides.items():
                figures[name].append(measure(a, work))
                rate, loading, peak, _ = figures[name][-1]
                print(f"{name:18} {rate:10.0f} tokens/s  {loading:7.0f} MiB peak of loading, {peak:7.0f} MiB of all", flush=True)
    median = {name: [statistics.median(one[i] for one in runs) for i in range(3)] for name, runs in figures.items()}
    print(f"{a.model} {a.dtype}{' in 4 bits' if a.load_in_4bit else ''}, batch {a.batch}, {a.steps} steps, {a.threads} threads:")
    for name, runs in figures.items():
        if name == "peer":
            continue
        rate, loading, peak = (mine / theirs for mine, theirs in zip(median[name], median["peer"]))
        worst = max(abs(x - y) / y for x, y in zip(runs[0][3], figures["peer"][0][3], strict=True))
        print(f"{name}: {rate:.2f} times the peer's speed, {loading:.2f} of its memory in loading, {peak:.2f} in all; "
              f"losses differ by {worst:.1e} relative at most")


if __name__ == "__main__":
    main()
