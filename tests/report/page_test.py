"""`allreco report` on real runs, read back by other readers: the page by an XML parser, csv by Python's, and every number beside
evaluation.json and metrics.jsonl themselves; hostile texts, missing parts, one and three runs, refusals.

Usage: page_test.py ALLRECO REPOSITORY SAMPLE
"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import sample_runs
from sample_runs import expect, run

SECTIONS = ["summary", "comparison", "accuracy", "slices", "mistakes", "calibration", "positions", "data", "loss", "throughput",
            "memory", "provenance"]
TAGS = set("html head meta link title style body header h1 h2 h3 nav a main section p ul li div b i span code pre details summary "
           "figure figcaption table caption thead tbody tr th td footer hr br svg path line circle text".split())
ATTRIBUTES = set("lang charset http-equiv content name rel href id class aria-labelledby aria-label aria-hidden role tabindex scope "
                 "style title d x y x1 x2 y1 y2 cx cy r width height viewBox text-anchor".split())


def page_of(path):
    """The page's elements, after a check that none and no attribute is one that the program does not write."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    for element in root.iter():
        expect(element.tag in TAGS, f"the page holds <{element.tag}>")
        expect(set(element.attrib) <= ATTRIBUTES, f"<{element.tag}> has {element.attrib}")
        for name in ("href", "src"):
            target = element.get(name, "#")
            expect(target.startswith("#") or target == "data:,", f"<{element.tag}> leads to {target}")
    found = [element.get("id") for element in root.iter("section")]
    expect(found == SECTIONS, f"the sections are {found}")
    return root


def texts(element):
    return "".join(element.itertext())


def section(root, name):
    return next(element for element in root.iter("section") if element.get("id") == name)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_accuracy(report, sample):
    """Each metric of both evaluations and of all baselines is in the table as it is in evaluation.json."""
    rows = {(row["part"], row["kind"], row["name"], row["metric"]): row for row in rows_of(report.with_name("report-accuracy.csv"))}
    checked = 0
    for label, name in (("before", "before"), ("OUT", "after")):
        document = json.loads((sample / name / "evaluation.json").read_text())
        for part in ("candidates", "catalogue"):
            scorers = [("model", f"{label}, {score}", values) for score, values in document[part]["scores"].items()]
            scorers += [("baseline", baseline, values) for baseline, values in document[part]["baselines"].items()]
            for kind, scorer, values in scorers:
                for metric, estimate in values.items():
                    if not isinstance(estimate, dict) or "bootstrap_95" not in estimate:
                        continue
                    row = rows[part, kind, scorer, metric]
                    found = [float(row[key]) for key in ("value", "bootstrap_95_low", "bootstrap_95_high")]
                    expect(found == [estimate["value"], *estimate["bootstrap_95"]], f"{scorer} {metric}: {found}, not {estimate}")
                    if "wilson_95" in estimate:
                        found = [float(row[f"wilson_95_{end}"]) for end in ("low", "high")]
                        expect(found == estimate["wilson_95"], f"{scorer} {metric}: {found}, not {estimate}")
                    checked += 1
    expect(checked > 200, f"only {checked} estimates were compared")


def check_training(report, sample):
    logged = [json.loads(line) for line in (sample / "OUT/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in logged if "loss" in line]
    rows = rows_of(report.with_name("report-steps.csv"))
    expect(len(rows) == len(steps) == 6, f"{len(rows)} steps in the csv, {len(steps)} in the log")
    for row, step in zip(rows, steps):
        for key, value in step.items():
            expect(float(row[key]) == value, f"step {step['step']}: {key} is {row[key]}, not {value}")
    evaluations = [line["eval_loss"] for line in logged if "eval_loss" in line]
    rows = rows_of(report.with_name("report-training_evaluations.csv"))
    expect([float(row["value"]) for row in rows if row["metric"] == "loss"] == evaluations, "evaluations during training differ")
    speed, = rows_of(report.with_name("report-throughput.csv"))
    seconds = sum(step["step_ms"] for step in steps) / 1000
    expect(abs(float(speed["seconds_in_steps"]) - seconds) < 1e-9 * seconds, f"{speed} of {seconds} s")
    expect(float(speed["tokens"]) == sum(step["tokens"] for step in steps), f"{speed}")
    shares = sum(float(speed[f"share_{part}"]) for part in ("compute", "communication", "data", "other"))
    expect(abs(shares - 1) < 1e-6, f"the shares of a step add up to {shares}")
    memory, = rows_of(report.with_name("report-memory.csv"))
    expect(float(memory["peak_rss_bytes"]) == max(step["peak_rss_bytes"] for step in steps), f"{memory}")


def check_calibration(report, sample):
    """The bins of the diagram give the calibration error that evaluate computed."""
    bins = rows_of(report.with_name("report-reliability.csv"))
    for label, name in (("before", "before"), ("OUT", "after")):
        of_run = [row for row in bins if row["run"] == label]
        count = sum(int(row["num_examples"]) for row in of_run)
        error = sum(int(row["num_examples"]) / count * abs(float(row["accuracy"]) - float(row["mean_confidence"])) for row in of_run)
        document = json.loads((sample / name / "evaluation.json").read_text())
        wanted = document["candidates"]["scores"]["log_likelihood"]["ece_15_equal_width_bins"]
        expect(abs(error - wanted) < 1e-9, f"{name}: the bins give {error}, evaluation.json says {wanted}")


def check_json(report):
    document = json.loads(report.with_suffix(".json").read_text())
    expect(document["format"] == "allreco-report" and document["runs"] == ["before", "OUT"], f"{document['runs']}")
    for name, table in document["tables"].items():
        rows = rows_of(report.with_name(f"report-{name}.csv"))
        expect(len(rows) == len(table), f"{name}: {len(rows)} rows in the csv, {len(table)} in JSON")
        for row, values in zip(rows, table):
            for key, value in values.items():
                if isinstance(value, (int, float)):
                    expect(float(row[key]) == value, f"{name}: {key} is {row[key]} in the csv, {value} in JSON")


def check_hostile(root, report):
    text = texts(root)
    for title in sample_runs.HOSTILE_AS_TEXT:
        expect(title in text, f"{title!r} is not shown as text")
        expect(title not in report.read_text(encoding="utf-8") or "<" not in title, f"{title!r} is in the page as it is")
    everything = "".join(path.read_text(encoding="utf-8") for path in report.parent.glob("report*"))
    bad = {character for character in everything if ord(character) < 32 and character != "\n" or 0x7F <= ord(character) < 0xA0}
    expect(not bad, f"control characters {bad} are in the files")
    chosen = [row["chosen"] for row in rows_of(report.with_name("report-mistakes.csv")) if row["run"] == "OUT"]
    expect(chosen[:3] == list(sample_runs.HOSTILE_AS_TEXT), f"the csv has {chosen[:3]}")


def check_three(allreco, sample, directory):
    report = directory / "report.html"
    run(allreco, "report", *sample_runs.paths(sample), "--output", report)
    root = page_of(report)
    check_hostile(root, report)
    check_accuracy(report, sample)
    check_training(report, sample)
    check_calibration(report, sample)
    check_json(report)
    summary = [texts(item) for item in section(root, "summary").iter("li")]
    expect(len(summary) == 2 and "base model as it is" in summary[0] and "Trained 6 steps" in summary[1], f"{summary}")
    missing = [texts(p) for p in root.iter("p") if p.get("class") == "missing"]
    expect(len(missing) == 1 and "rotated_options" in missing[0], f"something is missing: {missing}")


def check_parts(allreco, sample, directory):
    """One run with a part alone: each section without data says which command makes it."""
    for name, without in (("OUT", {"accuracy", "slices", "mistakes", "calibration", "positions", "data", "comparison"}),
                          ("before", {"loss", "throughput", "memory", "comparison", "positions"})):
        report = directory / f"{name}.html"
        run(allreco, "report", sample / name, "--output", report)
        root = page_of(report)
        for path in directory.glob("report-*.csv"):  # as the report of three runs has them
            alone = directory / path.name.replace("report", name, 1)
            header, wanted = (file.read_text(encoding="utf-8").split("\n")[0] for file in (alone, path))
            expect(header == wanted, f"{alone.name} begins with {header}, not with {wanted}")
        found = {element.get("id") for element in root.iter("section")
                 if any(p.get("class") == "missing" and "allreco " in texts(p) for p in element.iter("p"))}
        expect(found == without, f"{name} alone lacks data in {sorted(found)}, not in {sorted(without)}")


def check_attribution(allreco, sample, directory):
    """An evaluation of another adapter than the run's, put beside it, is not taken as the run's."""
    other = directory / "copied"
    other.mkdir()
    for path in (sample / "OUT").iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    for name in ("evaluation.json", "predictions.jsonl"):
        (other / name).write_bytes((sample / "before" / name).read_bytes())
    report = directory / "attribution.html"
    run(allreco, "report", other, "--output", report)
    summary = section(page_of(report), "summary")
    items = [texts(item) for item in summary.iter("li")]
    expect(len(items) == 2 and "has not been evaluated" in items[0], f"{items}")
    expect("it is of the bare base, without an adapter" in texts(summary), texts(summary))


def check_refusals(allreco, sample, directory):
    def refused(*arguments):
        done = subprocess.run([allreco, "report", *map(str, arguments)], capture_output=True, text=True)
        expect(done.returncode == 2, f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stderr

    report = directory / "report.html"
    before = report.read_bytes()
    expect("overwrite_output = true" in refused(sample / "OUT", "--output", report), "the refusal does not say how to replace")
    (directory / "fresh-loss.csv").write_text("mine\n")
    refused(sample / "OUT", "--output", directory / "fresh.html")
    expect(not (directory / "fresh.html").exists() and (directory / "fresh-loss.csv").read_text() == "mine\n", "a table was replaced")
    expect(report.read_bytes() == before, "a refused report changed")
    run(allreco, "report", *sample_runs.paths(sample), "--output", report, "--overwrite_output")
    expect(report.read_bytes() == before, "the same report is not the same file")
    expect("holds neither a training" in refused(sample / "DS", "--output", directory / "x.html"), "DS")
    expect("is not a directory" in refused(sample / "nowhere", "--output", directory / "x.html"), "nowhere")
    expect("given twice" in refused(sample / "OUT", sample / "../sample/OUT", "--output", directory / "x.html"), "twice")
    expect("nothing to report on" in refused("--output", directory / "x.html"), "no run")
    expect("such as report.html" in refused(sample / "OUT", "--output", directory / "x.txt"), "txt")
    bad = directory / "bad"
    bad.mkdir()
    (bad / "metrics.jsonl").write_text('{"step": 1, "epoch": 0.1, "loss": 2}\n{"step": "two"}\n')
    expect("metrics.jsonl:2" in refused(bad, "--output", directory / "x.html"), "a bad line is not named")
    expect(not (directory / "x.html").exists(), "a refused report left a file")


def main():
    allreco, sample = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="allreco-report-") as name:
        directory = pathlib.Path(name)
        check_three(allreco, sample, directory)
        check_parts(allreco, sample, directory)
        check_attribution(allreco, sample, directory)
        check_refusals(allreco, sample, directory)
    print("page, csv and JSON say what evaluation.json and metrics.jsonl say")


if __name__ == "__main__":
    main()
