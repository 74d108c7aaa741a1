#!/usr/bin/env python3
"""Scoring of candidate answers beside transformers: the same prompts, answers, dtype and threads, in one run, turn by turn.

  bench/score_peer.py --peer-python VENV/bin/python --model MODEL_DIR [--prompts 16] [--candidates 20] [--prompt-tokens 300] [--threads 2] [--repeats 3]

MODEL_DIR has a tokenizer.json. The peer (PEER, `hf_lora.py score`) computes every prompt with every answer, in padded batches, as a user would;
allreco (bench_trie) computes each prompt once. Prints answers per second of each, the medians' ratio, and both means of the log-likelihoods, which must agree.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENIZE = """
import json, sys
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
eos = json.load(open(sys.argv[1] + "/config.json"))["eos_token_id"]
encode = lambda text: t.encode(text, add_special_tokens=False).ids
rows = [json.loads(line) for line in open(sys.argv[2])]
with open(sys.argv[3], "w") as out:
    for row in rows:
        prompt = encode(row["prompt"])
        for option in row["options"]:
            answer = encode(option) + [eos]
            out.write(json.dumps({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}) + "\\n")
print(len(encode(rows[0]["prompt"])))
"""


def run(*command, threads=None):
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def write_prompts(path, args):
    """Titles of four to eight words, as shops write them; a prompt is a list of them."""
    draw = random.Random(1)
    words = "gift card amazon blue red small large pack of with for the women men kids cotton steel kitchen garden set travel bottle book classic".split()
    title = lambda: " ".join(draw.choices(words, k=draw.randint(4, 8)))
    with open(path, "w") as out:
        for _ in range(args.prompts):
            prompt = "A shopper bought these items, oldest first. Which item will they buy next?"
            while len(prompt.split()) < args.prompt_tokens * 0.92:  # these words are little more than a token each
                prompt += "\n- " + title()
            options = list(dict.fromkeys(title() for _ in range(2 * args.candidates)))[: args.candidates]
            out.write(json.dumps({"prompt": prompt, "output": options[0], "options": options, "gold": 0, "split": "test"}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--prompt-tokens", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--peer", default=str(ROOT / "bench/peer/hf_lora.py"))
    args = parser.parse_args()
    build = ROOT / "build/release"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        write_prompts(scratch / "prompts.jsonl", args)
        run(build / "allreco", "prepare", "--prompts", scratch / "prompts.jsonl", "--tokenizer", args.model, "--template", "plain",
            "--add_bos", "false", "--max_length", 1024, "--output_dir", scratch / "data")
        length = run(args.peer_python, "-c", TOKENIZE, args.model, scratch / "prompts.jsonl", scratch / "tokens.jsonl").strip()
        figures = {"allreco": [], "peer": []}
        for _ in range(args.repeats):
            ours = json.loads(run(build / "bench/bench_trie", args.model, scratch / "data", "test", args.prompts, 4096, args.dtype,
                                  "candidates", threads=args.threads))
            theirs = json.loads(run(args.peer_python, args.peer, "score", scratch / "tokens.jsonl", "--model", args.model, "--dtype",
                                    args.dtype, "--threads", args.threads, "--batch", 20, threads=args.threads).splitlines()[-1])
            figures["allreco"].append(ours["answers_per_second"])
            figures["peer"].append(theirs["answers_per_second"])
        assert ours["answers"] == theirs["answers"], (ours, theirs)
        ours_median, theirs_median = statistics.median(figures["allreco"]), statistics.median(figures["peer"])
        print(json.dumps({"prompt_tokens": int(length), "candidates": args.candidates, "answers": ours["answers"], "threads": args.threads,
                          "dtype": args.dtype, **figures, "ratio": ours_median / theirs_median,
                          "mean_log_likelihood": [ours["mean_log_likelihood"], theirs["mean_log_likelihood"]]}))


if __name__ == "__main__":
    main()
