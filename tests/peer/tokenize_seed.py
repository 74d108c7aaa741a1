"""Compares allreco's token ids with the sentencepiece library's own, on every text of a prompts file.

Usage: tokenize_seed.py TOKENIZE_LINES PROMPTS.jsonl[.gz] MODEL...

TOKENIZE_LINES is the program of that name (ninja -C build/release tokenize_lines). Every string of every row counts as a text (prompt,
output, instruction, input, options). Needs the Python package sentencepiece; not part of the tests that run everywhere.
"""
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator

import sentencepiece


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings(child)


def read_texts(path: str) -> list[str]:
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [text for line in lines for text in strings(json.loads(line))]


def ids_of_allreco(program: str, model: str, texts: list[str]) -> list[list[int]]:
    stdin = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([program, model], input=stdin, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(program: str, model: str, texts: list[str]) -> int:
    peer = sentencepiece.SentencePieceProcessor(model_file=model)
    ours = ids_of_allreco(program, model, texts)
    if len(ours) != len(texts):
        sys.exit(f"{program} gave {len(ours)} lines for {len(texts)} texts")
    wrong = [(text, ids, peer.encode(text)) for text, ids in zip(texts, ours) if ids != peer.encode(text)]
    print(f"{model}: {len(texts)} texts, {sum(map(len, ours))} ids, {len(wrong)} differ (sentencepiece {sentencepiece.__version__})")
    for text, ids, expected in wrong[:5]:
        print(f"  {text!r}\n    allreco       {ids}\n    sentencepiece {expected}")
    return len(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    all_texts = read_texts(sys.argv[2])
    sys.exit(1 if sum(compare(sys.argv[1], model, all_texts) for model in sys.argv[3:]) else 0)
