"""prepare on made-up reviews: the same digests for any number of ranks and memory, the time of each, and its peak memory.

    bench/prepare_scale.py --reviews 2000000 --ranks 1,2,4,8 --limits 0,64MiB
    bench/prepare_scale.py --reviews 200000,2000000 --ranks 1 --limits 64MiB      # ten times as much, the same peak
    bench/prepare_scale.py --ranks 1,2 --limits 64MiB --side_by_side 2            # and what the cores would allow

`beyond` is the most that a rank holds beyond what it held at the start of reading (the program's own closing line). `cpu` are the seconds of
processor time of all ranks together, and of mpirun. A rank has one thread and, as far as there are cores, a core of its own, a lone one too: else its
reading and sorting would overlap on a second core. --side_by_side K runs K processes at the same time, each the whole job of one rank: how much slower they are
than one alone is what memory and clocks take from K ranks.
"""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def make(reviews: int, directory: pathlib.Path) -> None:
    if (directory / "metadata.json").exists():
        return
    subprocess.run([sys.executable, ROOT / "bench/make_reviews.py", "--reviews", str(reviews), "--output_dir", directory], check=True)


def command_of(options, directory: pathlib.Path, ranks: int, limit: str, core: int = 0) -> list:
    cores = len(os.sched_getaffinity(0))
    launcher = ["taskset", "-c", str(core)]
    if ranks > 1:
        launcher = ["mpirun", "-n", str(ranks), "--bind-to", "core" if ranks <= cores else "none"]
    return [*launcher, options.allreco, "prepare", "--reviews", directory / "reviews.json", "--metadata", directory / "metadata.json",
            "--tokenizer", options.tokenizer, "--memory_limit", limit, "--threads", "1", "--output_dir", "DS", *options.more.split()]


def environment() -> dict[str, str]:
    return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


def empty(where: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    return where


def prepare(options, directory: pathlib.Path, ranks: int, limit: str, where: pathlib.Path) -> tuple[float, float, str]:
    before, start = os.times(), time.monotonic()
    run = subprocess.run(command_of(options, directory, ranks, limit), cwd=empty(where), capture_output=True, text=True, env=environment())
    seconds, after = time.monotonic() - start, os.times()
    if run.returncode != 0:
        raise SystemExit(f"{ranks} ranks, limit {limit}: {run.returncode}: {run.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, run.stderr


def side_by_side(options, directory: pathlib.Path, limit: str, count: int) -> float:
    """The seconds until `count` lone ranks, each on a core of its own, have all done the whole job."""
    start = time.monotonic()
    runs = [subprocess.Popen(command_of(options, directory, 1, limit, core), cwd=empty(options.work / f"run{core}"), env=environment(),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for core in range(count)]
    if any([run.wait() for run in runs]):
        raise SystemExit("a process of several side by side failed")
    return time.monotonic() - start


def digest(dataset: pathlib.Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(dataset.iterdir()):
        whole.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=ROOT / "examples/stories260k")
    parser.add_argument("--reviews", default="2000000")
    parser.add_argument("--ranks", default="1,2,4,8")
    parser.add_argument("--limits", default="0,64MiB")
    parser.add_argument("--more", default="", help="more options of prepare")
    parser.add_argument("--side_by_side", type=int, default=0, help="as many processes at the same time")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "prepare-scale")
    options = parser.parse_args()
    options.allreco, options.tokenizer = options.allreco.resolve(), options.tokenizer.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    print(f"load before: {os.getloadavg()[0]:.1f}")
    print("| reviews | ranks | limit | seconds | cpu | MiB beyond | digest | where the time went |\n|---|---|---|---|---|---|---|---|")
    for reviews in [int(text) for text in options.reviews.split(",")]:
        directory = options.work / f"input-{reviews}"
        make(reviews, directory)
        digests = set()
        for limit in options.limits.split(","):
            for ranks in [int(text) for text in options.ranks.split(",")]:
                seconds, cpu, told = prepare(options, directory, ranks, limit, options.work / "run")
                match = re.search(r"[\d.]+ s: (.*)\. At most (\d+) MiB", told)
                digests.add(digest(options.work / "run/DS"))
                print(f"| {reviews} | {ranks} | {limit} | {seconds:.1f} | {cpu:.1f} | {match[2]} | {digest(options.work / 'run/DS')} | {match[1]} |",
                      flush=True)
            if options.side_by_side:
                print(f"{options.side_by_side} lone ranks side by side, limit {limit}: "
                      f"{side_by_side(options, directory, limit, options.side_by_side):.1f} s", flush=True)
        if len(digests) != 1:
            raise SystemExit(f"{len(digests)} different datasets")


if __name__ == "__main__":
    main()
