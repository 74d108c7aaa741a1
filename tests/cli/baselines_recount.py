#!/usr/bin/env python3
"""Counts every baseline of `evaluate --baselines_only true --ranking exhaustive` once more, in plain Python and from the
raw sequences: leave-last-out, full catalogue, ties by expectation.

Usage: baselines_recount.py ALLRECO TOKENIZER_DIRECTORY [SEQUENCES ITEM_TEXTS [--users N]]

Without files: a random shop, with equal titles, words that are not ASCII, repeats and users whose train part is one item.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

RECENCY = 0.7
MAX_HISTORY = 10
# Sums of at most some thousand terms between 0 and 1 in another order.
TOLERANCE = 1e-9


def read_lines(path):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [(line.split(maxsplit=1) + [line.split()[0]])[:2] for line in lines]  # an item without text: its id


def write_random_shop(directory):
    draw = random.Random(5)
    words = [f"word{w}" for w in range(24)]
    words += ["Caf\u00e9", "CAF\u00c9\u2122", "caf\u00e9\u2014bar", "\u0401lka\u00b2", "\u0451LKA\u00b2",
              "\u6771\u4eac_\u00bd"]
    items = [f"I{i:03}" for i in range(60)]
    titles = {item: " ".join(draw.choices(words, k=draw.randint(1, 6))) for item in items}
    titles["I007"] = titles["I003"]
    titles["I011"] = ""
    sequences = []
    for user in range(150):
        start, length = draw.randrange(60), draw.randint(2, 14)
        near = [items[(start + draw.randint(0, 9)) % 60] for _ in range(length)]
        sequences.append(f"U{user:03} " + " ".join(near))
    (directory / "sequences.txt").write_text("\n".join(sequences) + "\n", encoding="utf-8")
    texts = "".join(f"{item} {title}\n" for item, title in titles.items())
    (directory / "items.txt").write_text(texts, encoding="utf-8")
    return directory / "sequences.txt", directory / "items.txt"


class Recount:
    def __init__(self, sequences, titles):
        users = {user: items.split() for user, items in sequences}
        bought = {item for items in users.values() for item in items}
        self.items = sorted(bought)
        self.id = {item: i for i, item in enumerate(self.items)}
        self.titles = [titles[item] for item in self.items]
        self.n = len(self.items)
        self.train, self.tests = [], []
        for _, items in sorted(users.items()):
            ids = [self.id[item] for item in items]
            if len(ids) < 2:
                continue
            self.train.append(ids[:-1])
            self.tests.append((ids[:-1][-MAX_HISTORY:], ids[-1]))
        self.popularity = collections.Counter(item for ids in self.train for item in ids)
        most = max(self.popularity.values())
        self.back_off = [0.001 * self.popularity[i] / (most + 1) for i in range(self.n)]
        self.follow = collections.defaultdict(collections.Counter)
        for ids in self.train:
            for place, x in enumerate(ids):
                for y in ids[place + 1:place + 4]:
                    self.follow[x][y] += 1
        self.with_item, self.with_both = collections.Counter(), collections.defaultdict(collections.Counter)
        for ids in self.train:
            for x in set(ids):
                self.with_item[x] += 1
                for y in set(ids) - {x}:
                    self.with_both[x][y] += 1
        self.words = [collections.Counter(re.findall(r"[^\W_]+", t.lower())) for t in self.titles]
        self.has_word = collections.defaultdict(list)
        for i, words in enumerate(self.words):
            for word in words:
                self.has_word[word].append(i)
        self.mean_length = sum(sum(w.values()) for w in self.words) / self.n
        self.tf_idf = []
        for words in self.words:
            weights = {w: c * (math.log((1 + self.n) / (1 + len(self.has_word[w]))) + 1) for w, c in words.items()}
            norm = math.sqrt(sum(v * v for v in weights.values()))
            self.tf_idf.append({w: v / norm for w, v in weights.items()})

    def chance(self, _):
        return [0.0] * self.n

    def popularity_scores(self, _):
        return [float(self.popularity[i]) for i in range(self.n)]

    def last_item(self, history):
        return [1.0 if i == history[-1] else 0.0 for i in range(self.n)]

    def co_occurrence(self, history):
        scores = list(self.back_off)
        for y, count in self.follow[history[-1]].items():
            scores[y] += count
        return scores

    def item_knn(self, history):
        scores = [0.0] * self.n
        for age, x in enumerate(reversed(history)):
            for y, both in self.with_both[x].items():
                scores[y] += RECENCY**age * (both / math.sqrt(self.with_item[x] * self.with_item[y]))
        return scores

    def bm25(self, history):
        scores = [0.0] * self.n
        for age, x in enumerate(reversed(history)):
            for word, times in sorted(self.words[x].items()):
                df = len(self.has_word[word])
                idf = math.log(1 + (self.n - df + 0.5) / (df + 0.5))
                for i in self.has_word[word]:
                    tf = self.words[i][word]
                    norm = 1.2 * (1 - 0.75 + 0.75 * sum(self.words[i].values()) / self.mean_length)
                    scores[i] += RECENCY**age * times * (idf * tf * 2.2 / (tf + norm))
        return scores

    def tf_idf_scores(self, history):
        scores = [0.0] * self.n
        for age, x in enumerate(reversed(history)):
            for word, weight in self.tf_idf[x].items():
                for i in self.has_word[word]:
                    scores[i] += RECENCY**age * weight * self.tf_idf[i][word]
        return scores

    def shortest(self, _):
        return [-float(len(t)) for t in self.titles]

    def metrics(self, score, num_tests):
        sums = collections.Counter()
        for history, target in self.tests[:num_tests]:
            scores = score(history)
            # Equal evidence is equal, whatever the order in which it was summed.
            higher = sum(s > scores[target] + 1e-12 for s in scores)
            equal = sum(abs(s - scores[target]) <= 1e-12 for s in scores) - 1
            ranks = range(higher + 1, higher + equal + 2)
            for k in (1, 5, 10, 20):
                if k < self.n:
                    sums[f"hit_rate@{k}"] += sum(r <= k for r in ranks) / len(ranks)
                if 1 < k < self.n:
                    sums[f"ndcg@{k}"] += sum(1 / math.log2(r + 1) for r in ranks if r <= k) / len(ranks)
            sums["mrr"] += sum(1 / r for r in ranks) / len(ranks)
        return {name: value / len(self.tests[:num_tests]) for name, value in sums.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("allreco")
    parser.add_argument("tokenizer")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--users", type=int, default=0, help="only the first so many test users")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        sequences, texts = arguments.files or write_random_shop(work)
        run = lambda *command: subprocess.run([arguments.allreco, *map(str, command)], check=True)
        run("prepare", "--sequences", sequences, "--items", texts, "--tokenizer", arguments.tokenizer, "--output_dir",
            work / "DS", "--max_history", MAX_HISTORY, "--num_candidates", 0,
            "--template", "amazon-next-item-open", "--max_length", 4096)
        begin = time.monotonic()
        run("evaluate", "--baselines_only", "true", "--dataset", work / "DS", "--split", "test", "--ranking",
            "exhaustive", "--output_dir", work / "EV", "--max_eval_samples", arguments.users)
        print(f"evaluate took {time.monotonic() - begin:.1f} s")
        found = json.loads((work / "EV/evaluation.json").read_text())["catalogue"]["baselines"]
        recount = Recount(read_lines(sequences), dict(read_lines(texts)))
    rules = {"chance": recount.chance, "popularity": recount.popularity_scores, "last_item": recount.last_item,
             "co_occurrence": recount.co_occurrence, "item_knn": recount.item_knn, "bm25": recount.bm25,
             "tf_idf": recount.tf_idf_scores, "shortest_title": recount.shortest}
    failures = 0
    for name, rule in rules.items():
        for metric, expected in recount.metrics(rule, arguments.users or None).items():
            value = found[name][metric]["value"]
            differs = abs(value - expected) > TOLERANCE
            failures += differs
            print(f"{name:16} {metric:12} {value:.6f} {expected:.6f}{'  DIFFERS' if differs else ''}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
