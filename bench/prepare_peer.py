"""`allreco prepare` beside polars + datasets + a Hugging Face tokenizer (bench/peer/prepare_polars.py): the same examples from the
same reviews on the same cores, in turns.

    VENV/bin/python bench/prepare_peer.py --reviews 300000 --tokenizer MODEL_DIR [--tokenizer MODEL_DIR ...]

needs polars, datasets, transformers, h5py, and of a tokenizer.model protobuf and sentencepiece. The input is bench/make_reviews.py's without its hostile lines and without titles that
would have to be cleaned, which the peer does not do, nor does it audit. Fails where an example differs. Seconds are those of whole processes less
the peer's imports and loading of the tokenizer, which it does not count.
"""
import argparse
import collections
import hashlib
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

import datasets
import h5py

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLAIN_TITLE = re.compile(r"[A-Za-z]+( [A-Za-z0-9]+)*")


def make_input(reviews: int, work: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Lines that are rows, and titles that no rule changes."""
    subprocess.run([sys.executable, ROOT / "bench/make_reviews.py", "--reviews", str(reviews), "--output_dir", work, "--hot_user", "0",
                    "--text_words", "60"], check=True)
    plain = work / "plain.json", work / "plain_metadata.json"
    with open(work / "reviews.json") as lines, open(plain[0], "w") as out:
        out.writelines(line for line in lines if line.startswith('{"overall": ') and line.endswith("}\n") and '"reviewText"' in line)
    with open(work / "metadata.json") as lines, open(plain[1], "w") as out:
        for line in lines:
            title = json.loads(line)["title"]
            if isinstance(title, str) and len(title) <= 200 and PLAIN_TITLE.fullmatch(title):
                out.write(line)
    return plain


def own_examples(directory: pathlib.Path) -> collections.Counter:
    found: collections.Counter = collections.Counter()
    for shard in sorted(directory.glob("*.h5")):
        with h5py.File(shard) as file:
            tokens, offsets, lengths = file["tokens"][:], file["example_offsets"][:], file["prompt_lengths"][:]
            for i, length in enumerate(lengths):
                found[key(tokens[offsets[i]:offsets[i + 1]].tolist(), int(length))] += 1
    return found


def peer_examples(directory: pathlib.Path) -> collections.Counter:
    return collections.Counter(key(row["input_ids"], row["prompt_length"])
                               for row in datasets.load_from_disk(str(directory)) if row["input_ids"])


def key(ids: list[int], prompt_length: int) -> bytes:
    return hashlib.sha256(json.dumps([ids, prompt_length]).encode()).digest()[:16]


def timed(command: list) -> tuple[float, str]:
    begin = time.perf_counter()
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{command}: {run.returncode}\n{run.stderr}")
    return time.perf_counter() - begin, run.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco")
    parser.add_argument("--reviews", type=int, default=300_000)
    parser.add_argument("--tokenizer", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare-peer-") as folder:
        work = pathlib.Path(folder)
        reviews, metadata = make_input(options.reviews, work)
        for tokenizer in options.tokenizer:
            own, peer = [], []
            for _ in range(options.repeats):
                for output in ("own", "peer"):
                    shutil.rmtree(work / output, ignore_errors=True)
                own.append(timed([options.allreco, "prepare", "--reviews", reviews, "--metadata", metadata, "--tokenizer", tokenizer,
                                  "--template", "amazon-next-item-open", "--num_candidates", "0", "--audit", "false", "--output_dir", work / "own"])[0])
                text = timed([sys.executable, ROOT / "bench/peer/prepare_polars.py", reviews, metadata, tokenizer, work / "peer"])[1]
                peer.append(json.loads(text.splitlines()[-1])["seconds"])
            mine, theirs = own_examples(work / "own"), peer_examples(work / "peer")
            if mine != theirs:
                raise SystemExit(f"{tokenizer}: {sum((mine - theirs).values())} examples here alone, {sum((theirs - mine).values())} there alone")
            seconds, peer_seconds = statistics.median(own), statistics.median(peer)
            print(f"{tokenizer}: {reviews.stat().st_size / 1e6:.0f} MB, {sum(mine.values())} equal examples, {len(os.sched_getaffinity(0))} cores; "
                  f"allreco {seconds:.2f} s ({reviews.stat().st_size / 1e6 / seconds:.0f} MB/s), peer {peer_seconds:.2f} s, "
                  f"{peer_seconds / seconds:.1f} times (of {options.repeats} runs each: {own}, {peer})", flush=True)


if __name__ == "__main__":
    main()
