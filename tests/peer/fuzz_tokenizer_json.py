#!/usr/bin/env python3
"""Random pipelines and random strings: tokenizer_json_cases beside the `tokenizers` library.

    ninja -C build/release tokenizer_json_cases
    VENV/bin/python tests/peer/fuzz_tokenizer_json.py build/release/tests/data/tokenizer_json_cases PIPELINES STRINGS SEED

Each pipeline puts random normalizers, pre-tokenizers and a decoder around the vocabulary of a fixture; pipelines that the
library itself does not load are skipped. Needs `pip install tokenizers==0.23.3`.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures/tokenizer-json")
WORDS = ["the", " Gift", "Card ", "16oz", "don't", "IT'S", "caf\u00e9", "e\u0301", "\u212b", "\ufb01", "\u00bd", "\u0130", "\u03a3", "\u8336", "\u0447\u0430\u0439",
         "\u2581", "\u0120", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u0085", "\u200b", "\u180e", "...", "!?", "-", "_", "(x)", "\u00ab", "\u3001", "\u2014", "\U0001f680",
         "<ctl>", "<lft>", " <rgt> ", "<nrm>", "two words", "\ud55c", "\u1112\u1161", "A\u030a", "\u1e9b\u0323", "\u2460", "\ua7dc", "\U00010d50", "x" * 30, "12", "2018"]
REGEXES = ["\\s+", "\\p{L}+", "\\p{N}{1,3}", "[^\\s\\p{L}\\p{N}]+", "^\\s", "a|e", "(?i:the|card)", "\\p{Lu}\\p{Ll}*", "$", "[\\r\\n]+", " ?\\p{P}", "(?<=a)b", "x*", "\\d", "\\S+\\s?"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def pattern(rng):
    return {"Regex": rng.choice(REGEXES)} if rng.random() < 0.6 else {"String": rng.choice([" ", "e", "th", "\u2581", ".", "\n", "x", "xx"])}


def normalizer(rng, depth=0):
    kind = rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Replace", "Prepend", "Strip", "Sequence"] if depth < 2 else ["NFC", "Lowercase", "Replace"])
    return {"Replace": {"type": "Replace", "pattern": pattern(rng), "content": rng.choice(["\u2581", "e", " ", "aa"])},
            "Prepend": {"type": "Prepend", "prepend": rng.choice(["\u2581", " "])},
            "Strip": {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
            "Sequence": {"type": "Sequence", "normalizers": [normalizer(rng, depth + 1) for _ in range(rng.randint(1, 3))] if kind == "Sequence" else []}}.get(kind, {"type": kind})


def pre_tokenizer(rng, depth=0):
    kind = rng.choice(["ByteLevel", "Split", "Digits", "Metaspace", "Punctuation", "WhitespaceSplit", "Sequence", "Sequence"] if depth < 2 else ["Split", "Digits", "Punctuation", "ByteLevel"])
    if kind == "Split":
        return {"type": kind, "pattern": pattern(rng), "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < 0.3}
    if kind == "Sequence":
        return {"type": kind, "pretokenizers": [pre_tokenizer(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
    return {"ByteLevel": {"type": kind, "add_prefix_space": rng.random() < 0.5, "trim_offsets": True, "use_regex": rng.random() < 0.5},
            "Digits": {"type": kind, "individual_digits": rng.random() < 0.5},
            "Metaspace": {"type": kind, "replacement": "\u2581", "prepend_scheme": rng.choice(["always", "first", "never"]), "split": rng.random() < 0.5},
            "Punctuation": {"type": kind, "behavior": rng.choice(BEHAVIORS)}}.get(kind, {"type": kind})


def decoder(rng, depth=0):
    kind = rng.choice(["ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"] + ["Sequence"] * (3 if depth == 0 else 0))
    return {"ByteLevel": {"type": kind, "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "Replace": {"type": kind, "pattern": pattern(rng), "content": rng.choice([" ", "", "zz"])},
            "Strip": {"type": kind, "content": rng.choice([" ", "\u2581", "e"]), "start": rng.randint(0, 2), "stop": rng.randint(0, 2)},
            "Metaspace": {"type": kind, "replacement": "\u2581", "prepend_scheme": rng.choice(["always", "first", "never"]), "split": True},
            "Sequence": {"type": kind, "decoders": [decoder(rng, 1) for _ in range(rng.randint(1, 4))] if kind == "Sequence" else []}}.get(kind, {"type": kind})


def cases(rng, tok, count):
    for _ in range(count):
        text = "".join(rng.choice(WORDS) + rng.choice(["", " "]) for _ in range(rng.randint(1, 9)))
        tok.encode_special_tokens = rng.random() < 0.5
        yield {"text": text, "ids": tok.encode(text, add_special_tokens=False).ids, "add_special_tokens": False, "encode_special_tokens": tok.encode_special_tokens}
        ids = [rng.randrange(tok.get_vocab_size()) for _ in range(rng.randint(1, 9))]
        odd = tok.get_added_tokens_decoder()
        ids = [i for i in ids if i not in odd or not odd[i].normalized]
        skip = rng.random() < 0.5
        yield {"ids": ids, "text": tok.decode(ids, skip_special_tokens=skip), "skip_special_tokens": skip}


def main():
    binary, pipelines, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    wrong = skipped = 0
    for i in range(pipelines):
        rng = random.Random(seed * 1_000_003 + i)
        with open(os.path.join(FIXTURES, rng.choice(["smollm2", "gemma3", "llama2-metaspace-split", "tekken", "gpt2"]), "tokenizer.json")) as f:
            j = json.load(f)
        j["normalizer"] = normalizer(rng) if rng.random() < 0.6 else None
        j["pre_tokenizer"] = pre_tokenizer(rng) if rng.random() < 0.8 else None
        j["decoder"] = decoder(rng) if rng.random() < 0.9 else None
        j["model"]["fuse_unk"] = rng.random() < 0.5
        if "unk_token" in j["model"] and rng.random() < 0.5:
            j["model"]["unk_token"] = next(iter(j["model"]["vocab"]))
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(j, f)
            f.flush()
            try:
                tok = Tokenizer.from_file(f.name)
                texts = [tok.normalizer.normalize_str(t.content) for t in tok.get_added_tokens_decoder().values() if t.normalized] if tok.normalizer else []
                if len(set(texts)) < len(texts):  # of equal ones the library takes any
                    skipped += 1
                    continue
                lines = [json.dumps(c) for c in cases(rng, tok, count)]
            except BaseException:  # a panic of the library's is one, too
                skipped += 1
                continue
            done = subprocess.run([binary, f.name], input="\n".join(lines) + "\n", capture_output=True, text=True)
            if done.returncode:
                wrong += 1
                print(i, json.dumps({k: j[k] for k in ("normalizer", "pre_tokenizer", "decoder")}), done.stdout[:600], done.stderr[:300], flush=True)
    print(f"{pipelines} pipelines, {skipped} that the library refuses, {wrong} with differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
