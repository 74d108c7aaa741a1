#!/usr/bin/env python3
"""Counts what `allreco audit` says once more, in plain Python and from the rows that were prepared: every rule, positions,
base rates, duplicates and visible answers; with options listed in the rows and with options that prompts show alone.

The shipped repair of such prompts leaves nothing to warn of.

Usage: audit_recount.py ALLRECO TOKENIZER_DIRECTORY CONFIGS
"""
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

# Means of at most some hundred fractions, summed in another order.
TOLERANCE = 1e-9
WORDS = [f"{a}{b}" for a in "mi te ri so oi ba pa Ou Co FRE".split() for b in "lk a ce ap l r ck nce".split()]
WORDS += "milk tea rice soap Oil Bar pack Ounce Count of and the Fresh Original ORGANIC blue red salt".split()


def title(draw, is_clean):
    text = " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))
    if not is_clean and draw.random() < 0.98:
        text += draw.choice([" 12 oz", " (Pack of 3)", "s 5 &amp; 6", " <b>new</b>", " 1.5"])
    return text


def make_rows(draw):
    """Right options are clean and the wrong ones often are not; some shoppers have two rows; some rows are copies."""
    clean = sorted({title(draw, True) for _ in range(500)})
    dirty = sorted({title(draw, False) for _ in range(200)} - set(clean))
    rows = []
    for i in range(700):
        split = "train" if i < 450 else "validation" if i < 550 else "test"
        if rows and draw.random() < 0.05:
            row = dict(draw.choice(rows[:450]), split=split)
            if draw.random() < 0.5:
                row["prompt"] = row["prompt"].replace("Somebody bought", "Somebody once bought")
            rows.append(row)
            continue
        history = draw.choices(clean[:50] + dirty, k=4)
        if rows and draw.random() < 0.2:  # the next row of an earlier shopper
            earlier = draw.choice(rows)
            history = earlier["history"][1:] + [earlier["output"]]
        right = draw.choice(clean[: len(clean) // 2] if draw.random() < 0.7 else clean)
        right = f"{right} never sold before {i}" if draw.random() < 0.05 else right
        options = [right] + draw.sample([t for t in dirty + clean[:20] if t != right], 3)
        draw.shuffle(options)
        shown = ", ".join(f"{label}) {text}" for label, text in zip("ABCD", options))
        prompt = f"Somebody bought {'; '.join(history)}. What comes next?  {shown}."
        rows.append({"prompt": prompt, "output": right, "options": options, "split": split, "history": history})
    return rows


def words_of(text):
    return re.findall(r"[0-9a-z]+", text.lower())


def shingles_of(words):
    if 0 < len(words) < 3:
        return {tuple(words)}
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def stands_in(words, phrase):
    return any(words[i : i + len(phrase)] == phrase for i in range(len(words) - len(phrase) + 1))


class Recount:
    def __init__(self, rows, num_tokens):
        self.num_tokens = num_tokens
        self.rows = rows
        for row in rows:
            row["outside"] = words_of(row["prompt"][: row["prompt"].rindex("A) ")])
        num_with = {}
        for row in rows:
            for word in set(row["outside"]):
                num_with[word] = num_with.get(word, 0) + 1
        self.frame = {word for word, count in num_with.items() if 2 * count > len(rows)}
        self.train = [row for row in rows if row["split"] == "train"]
        self.test = [row for row in rows if row["split"] == "test"]
        self.right = lambda text: sum(row["output"] == text for row in self.train)
        self.wrong = lambda text: sum(text in row["options"] and row["output"] != text for row in self.train)

    def history(self, row):
        return [word for word in row["outside"] if word not in self.frame]

    def features(self):
        letters = lambda t: re.findall("[A-Za-z]", t)
        markup = lambda t: len(re.findall(r"&[#A-Za-z0-9]+;|</?[A-Za-z]", t))
        yield "shortest_option", "longest_option", lambda row, t, i: len(t)
        yield "fewest_words", "most_words", lambda row, t, i: len(t.split())
        yield "fewest_tokens", "most_tokens", lambda row, t, i: self.num_tokens[t]
        yield "fewest_digits", "most_digits", lambda row, t, i: len(re.findall("[0-9]", t))
        yield "fewest_punctuation", "most_punctuation", lambda row, t, i: len(re.findall("[^A-Za-z0-9 ]", t))
        yield "fewest_non_letters", "most_non_letters", lambda row, t, i: len(re.sub("[A-Za-z .?]", "", t))
        yield "least_upper_case", "most_upper_case", lambda row, t, i: (
            sum(c.isupper() for c in letters(t)) / max(1, len(letters(t))))
        yield "least_markup", "most_markup", lambda row, t, i: markup(t)
        yield "fewest_repeated_words", "most_repeated_words", lambda row, t, i: (
            len(words_of(t)) - len(set(words_of(t))))
        yield "first_position", "last_position", lambda row, t, i: i
        yield "least_popular_in_train", "most_popular_in_train", lambda row, t, i: self.right(t)
        yield None, "unseen_else_popular", lambda row, t, i: self.right(t) or 10**9
        yield "fewest_times_wrong_in_train", "most_times_wrong_in_train", lambda row, t, i: self.wrong(t)
        yield "least_history_overlap", "most_history_overlap", lambda row, t, i: (
            sum(w in self.history(row) for w in words_of(t)) / max(1, len(words_of(t))))
        yield "not_in_history", "in_history", lambda row, t, i: stands_in(row["outside"], words_of(t))

    @staticmethod
    def accuracy(rows, value, best):
        total = 0
        for row in rows:
            values = [value(row, text, i) for i, text in enumerate(row["options"])]
            if values[row["options"].index(row["output"])] == best(values):
                total += 1 / values.count(best(values))
        return total / len(rows)

    def check_rules(self, audit):
        learned = ("popular", "unseen", "times_wrong")
        for least, most, value in self.features():
            for name, best in (least, min), (most, max):
                if name is None:
                    continue
                found = audit["history_rules" if "history" in name else "rules"][name]
                rows = self.test if any(part in name for part in learned) else self.rows
                equal(f"rules.{name}", found["accuracy"], self.accuracy(rows, value, best))
                equal(f"rules.{name}, tested", found["accuracy_tested"], self.accuracy(self.test, value, best))
                equal(f"rules.{name}, n", found["num_examples"], len(rows))
                assert found["wilson_95"][0] <= found["accuracy"] <= found["wilson_95"][1], name
        equal("chance", audit["chance"], 0.25)
        for part, rows in ("learned_on", self.train), ("tested_on", self.test):
            places = [row["options"].index(row["output"]) for row in rows]
            equal(part, audit["positions"][part], [places.count(i) for i in range(4)])

    def check_duplicates(self, audit):
        # What has no word but the frame's is no near copy of anything.
        of_train = [shingles_of(self.history(row) + words_of(row["output"])) for row in self.train]
        total_exact = total_near = 0
        for split in "validation", "test":
            rows = [row for row in self.rows if row["split"] == split]
            exact = sum(any(r["prompt"] == t["prompt"] and r["output"] == t["output"] for t in self.train) for r in rows)
            same = sum(any(r["prompt"] == t["prompt"] for t in self.train) for r in rows)
            near = 0
            for row in filter(self.history, rows):
                own = shingles_of(self.history(row) + words_of(row["output"]))
                near += any(len(own & other) >= 0.8 * len(own | other) for other in of_train)
            total_exact, total_near = total_exact + exact, total_near + near
            for kind, count in ("exact", exact), ("same_prompt", same), ("near", near):
                equal(f"duplicates.{kind}.{split}", audit["duplicates"][kind][split]["count"], count)
        assert 0 < total_exact < total_near, "copies with another word count as near ones alone"

    def check_answers(self, audit):
        answers = [row["output"] for row in self.train]
        majority = max(answers.count(text) for text in answers)
        equal("most frequent", audit["base_rates"]["most_frequent"]["count"], majority)
        equal("new answers", audit["base_rates"]["answers_not_in_train"]["count"],
              sum(row["output"] not in answers for row in self.test))
        own = any_train = of_shopper = 0
        for row in self.test:
            answer = words_of(row["output"])
            holders = [other for other in self.train if stands_in(other["outside"], answer)]
            history = shingles_of(self.history(row))
            own += stands_in(row["outside"], answer)
            any_train += bool(holders)
            of_shopper += any(2 * len(history & shingles_of(self.history(o))) >= len(history) for o in holders)
        found = audit["visibility"]
        equal("own prompts", found["answer_in_own_prompt"]["count"], own)
        equal("train prompts", found["answer_in_any_train_prompt"]["count"], any_train)
        equal("the shopper's", found["answer_in_train_prompt_of_shopper"]["count"], of_shopper)
        assert 0 < of_shopper < any_train < len(self.test)


def equal(what, found, wanted):
    if isinstance(wanted, float):
        assert abs(found - wanted) < TOLERANCE, f"{what}: the program says {found}, the recount {wanted}"
    else:
        assert found == wanted, f"{what}: the program says {found}, the recount {wanted}"


def run(command, exit_code=0):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def main():
    program, tokenizer, configs = sys.argv[1:]
    rows = make_rows(random.Random(7))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        audits = {}
        for form in "listed", "shown":
            hidden = {"history", "outside"} | ({"options"} if form == "shown" else set())
            lines = [json.dumps({k: v for k, v in row.items() if k not in hidden}) for row in rows]
            (scratch / "rows.jsonl").write_text("\n".join(lines) + "\n")
            run([program, "prepare", "--prompts", scratch / "rows.jsonl", "--tokenizer", tokenizer, "--template", "plain",
                 "--output_dir", scratch / form])
            run([program, "audit", scratch / form, "--output_dir", scratch / f"{form}-audit"])
            audits[form] = json.loads((scratch / f"{form}-audit/audit.json").read_text())
        items = [json.loads(line) for line in (scratch / "listed/items.jsonl").read_text().splitlines()]
        recount = Recount(rows, {item["title"]: len(item["tokens"]) for item in items})
        for form, audit in audits.items():
            recount.check_rules(audit)
            recount.check_duplicates(audit)
            recount.check_answers(audit)
            verdicts = {verdict["name"]: verdict["status"] for verdict in audit["verdicts"]}
            equal(f"{form}: surface_rules", verdicts["surface_rules"], "warning")
            equal(f"{form}: num_warnings", audit["num_warnings"], list(verdicts.values()).count("warning"))
            assert audit["combination"]["accuracy"] >= audit["popularity"], form
        pattern = r"A\) (.*), B\) (.*), C\) (.*), D\) (.*)\."
        run([program, "audit", scratch / "shown", "--option_pattern", pattern, "--output_dir", scratch / "by-pattern"])
        by_pattern = json.loads((scratch / "by-pattern/audit.json").read_text())
        equal("by pattern", by_pattern["rules"], audits["shown"]["rules"])
        equal("options from", by_pattern["examined"]["options_from"], "option_pattern")
        assert "warning" in run([program, "audit", scratch / "listed", "--strict", "true"], exit_code=3)
        for name in "as-published", "repaired":
            run([program, "prepare", "--config", f"{configs}/study-{name}.cfg", "--prompts", scratch / "rows.jsonl",
                 "--tokenizer", tokenizer, "--max_length", "2048", "--output_dir", scratch / name])
            run([program, "audit", scratch / name, "--output_dir", scratch / f"{name}-audit"])
            audit = json.loads((scratch / f"{name}-audit/audit.json").read_text())
            statuses = {verdict["name"]: verdict["status"] for verdict in audit["verdicts"]}
            wanted = "warning" if name == "as-published" else "ok"
            for verdict in "surface_rules", "combination", "popularity":
                equal(f"{name}: {verdict}", statuses[verdict], wanted)
            equal(f"{name}: lists", audit["examined"]["num_with_options"], len(rows))
    print(f"{len(rows)} rows: every rule and count agrees")


if __name__ == "__main__":
    main()
