#!/usr/bin/env python3
"""Encoding on one thread: allreco beside the `tokenizers` library, in turns, on the prompts of a JSON-lines file.

    ninja -C build/release bench_tokenizer
    VENV/bin/python bench/tokenizer_speed.py PROMPTS.jsonl[.gz] TOKENIZER.json ...        needs `pip install tokenizers==0.23.3`

Both encode string by string after one warm-up over all (so both caches are warm) with control tokens as text; the least of
the repeats counts. Prints a line a tokenizer, and fails where the numbers of ids differ.
"""
import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def peer_seconds(tok, prompts):
    start, ids = time.perf_counter(), 0
    for prompt in prompts:
        ids += len(tok.encode(prompt, add_special_tokens=False).ids)
    return time.perf_counter() - start, ids


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts"), parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/bench/bench_tokenizer"))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with (gzip.open if args.prompts.endswith(".gz") else open)(args.prompts, "rt") as f:
        prompts = [p for p in (json.loads(line).get("prompt") for line in f) if isinstance(p, str)]
    size = sum(len(p.encode()) for p in prompts)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.writelines(json.dumps({"prompt": p}) + "\n" for p in prompts)
        lines.flush()
        for path in args.tokenizers:
            tok = Tokenizer.from_file(path)
            tok.encode_special_tokens = True
            peer_seconds(tok, prompts)
            own, peer = [], []
            for _ in range(args.repeats):
                row = json.loads(subprocess.run([args.binary, path, lines.name, "1"], check=True, capture_output=True, text=True).stdout)
                own += row["seconds"]
                seconds, ids = peer_seconds(tok, prompts)
                peer.append(seconds)
                if ids != row["ids"]:
                    sys.exit(f"{path}: {row['ids']} ids here, {ids} there")
            print(f"{path}: {len(prompts)} prompts, {size / 1e6:.1f} MB, {ids} ids; allreco {size / min(own) / 1e6:.1f} MB/s, "
                  f"tokenizers {size / min(peer) / 1e6:.1f} MB/s, {min(peer) / min(own):.1f} times", flush=True)


if __name__ == "__main__":
    main()
