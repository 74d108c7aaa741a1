#!/usr/bin/env python3
"""Two builds of allreco beside each other on the same work: prepare, train and evaluate, with their CPU times and peak memory.

  bench/compare_versions.py --before OTHER/build/release/allreco --after build/release/allreco

Runs the examples (gift-cards reviews, stories260k, configs/quickstart.cfg with one rank) in turn, before, after, before, ..., so that what else the
machine does meets both. CPU seconds (user + system) of one thread are compared pair by pair; the median of the ratios is the result, wall time is
shown beside it. Says whether both trained to the same losses, bit by bit. Exit code 1 when a median ratio of CPU time is above --limit.
"""
import argparse
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL, REVIEWS = ROOT / "examples/stories260k", ROOT / "examples/gift-cards"


def commands(folder: pathlib.Path, steps: int) -> dict[str, list[str]]:
    """By task; {out} is a new folder of each run."""
    model = ["--model_name_or_path", str(MODEL)]
    dataset = ["--dataset", str(folder / "dataset")]
    return {
        "prepare": ["prepare", "--reviews", f"{REVIEWS}/reviews.json.gz", "--metadata", f"{REVIEWS}/metadata.json.gz",
                    "--tokenizer", f"{MODEL}/tokenizer.model", "--output_dir", "{out}/dataset"],
        "train": ["train", "--config", str(ROOT / "configs/quickstart.cfg"), *model, *dataset, "--output_dir", "{out}/run",
                  "--max_steps", str(steps), "--save_strategy", "no"],
        "evaluate": ["evaluate", *model, *dataset, "--output_dir", "{out}/evaluation"],
    }


def run(program: pathlib.Path, arguments: list[str], out: pathlib.Path) -> dict[str, float]:
    command = [str(program), *(argument.replace("{out}", str(out)) for argument in arguments)]
    begin = time.monotonic()
    with (out / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed:\n{(out / 'log').read_text()}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.monotonic() - begin, "MiB": usage.ru_maxrss / 1024}


def losses(out: pathlib.Path) -> str:
    lines = [json.loads(line) for line in (out / "run/metrics.jsonl").read_text().splitlines()]
    return hashlib.sha256(json.dumps([line["loss"] for line in lines if "loss" in line]).encode()).hexdigest()


def compare(task: str, arguments: list[str], programs: dict[str, pathlib.Path], repeats: int) -> float:
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    trained = set()
    for repeat in range(repeats + 1):
        for name, program in programs.items():
            with tempfile.TemporaryDirectory() as out:
                figure = run(program, arguments, pathlib.Path(out))
                trained |= {losses(pathlib.Path(out))} if task == "train" else set()
            if repeat > 0:  # the first pair warms the caches
                figures[name].append(figure)
    ratios = [after["cpu"] / before["cpu"] for before, after in zip(figures["before"], figures["after"])]
    shown = [f"{task:9}"]
    for name, taken in figures.items():
        shown.append(f"{name} " + ", ".join(f"{statistics.median(f[key] for f in taken):.3g} {unit}" for key, unit in
                                            (("cpu", "CPU s"), ("wall", "s"), ("MiB", "MiB"))))
    shown.append(f"CPU after / before {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    if task == "train":
        shown.append("same losses" if len(trained) == 1 else "other losses")
    print("; ".join(shown), flush=True)
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=pathlib.Path, required=True)
    parser.add_argument("--after", type=pathlib.Path, required=True)
    parser.add_argument("--repeats", type=int, default=7, help="counted pairs of each task")
    parser.add_argument("--steps", type=int, default=60, help="of training")
    parser.add_argument("--limit", type=float, default=1.05, help="for the median ratio of CPU times")
    options = parser.parse_args()
    programs = {"before": options.before.resolve(), "after": options.after.resolve()}
    with tempfile.TemporaryDirectory() as folder:
        tasks = commands(pathlib.Path(folder), options.steps)
        run(programs["before"], tasks["prepare"], pathlib.Path(folder))  # makes folder/dataset, which the others read
        slow = [task for task, arguments in tasks.items() if compare(task, arguments, programs, options.repeats) > options.limit]
    if slow:
        sys.exit(f"slower than {options.limit} times before: {', '.join(slow)}")


if __name__ == "__main__":
    main()
