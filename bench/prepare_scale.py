"""prepare on made-up reviews: the same digests for any number of ranks and memory, the time of each, and its peak memory.

    bench/prepare_scale.py --reviews 2000000 --ranks 1,2,4,8 --limits 0,64MiB
    bench/prepare_scale.py --reviews 200000,2000000 --ranks 1 --limits 64MiB      # ten times as much, the same peak

`beyond` is the most that a rank holds beyond what it held at the start of reading (the program's own closing line).
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


def prepare(options, directory: pathlib.Path, ranks: int, limit: str, where: pathlib.Path) -> tuple[float, str]:
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command += [options.allreco, "prepare", "--reviews", directory / "reviews.json", "--metadata", directory / "metadata.json",
                "--tokenizer", options.tokenizer, "--memory_limit", limit, "--threads", "1", "--output_dir", "DS", *options.more.split()]
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                   "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    start = time.monotonic()
    run = subprocess.run(command, cwd=where, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - start
    if run.returncode != 0:
        raise SystemExit(f"{ranks} ranks, limit {limit}: {run.returncode}: {run.stderr}")
    return seconds, run.stderr


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
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "prepare-scale")
    options = parser.parse_args()
    options.allreco, options.tokenizer = options.allreco.resolve(), options.tokenizer.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    print("| reviews | ranks | limit | seconds | MiB beyond | digest | where the time went |\n|---|---|---|---|---|---|---|")
    for reviews in [int(text) for text in options.reviews.split(",")]:
        directory = options.work / f"input-{reviews}"
        make(reviews, directory)
        digests = set()
        for limit in options.limits.split(","):
            for ranks in [int(text) for text in options.ranks.split(",")]:
                seconds, told = prepare(options, directory, ranks, limit, options.work / "run")
                match = re.search(r"[\d.]+ s: (.*)\. At most (\d+) MiB", told)
                digests.add(digest(options.work / "run/DS"))
                print(f"| {reviews} | {ranks} | {limit} | {seconds:.1f} | {match[2]} | {digest(options.work / 'run/DS')} | {match[1]} |",
                      flush=True)
        if len(digests) != 1:
            raise SystemExit(f"{len(digests)} different datasets")


if __name__ == "__main__":
    main()
