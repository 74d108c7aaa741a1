"""From the cells' results to scaling.json, scaling.csv and scaling.html."""
import csv
import dataclasses
import io
import json
import pathlib

import cluster_report
from cells import Cell, Plan, name_of_model
from files import From, not_negative, positive, printable, read_json, read_text, write_json, write_text
from page import page_of

# What the table holds of a cell, in this order; all of it is in scaling.json and scaling.csv.
COLUMNS = ["model", "storage", "mode", "ranks", "threads", "hosts", "examples_per_step", "tokens_per_second", "speedup", "efficiency",
           "step_ms", "data_share", "forward_share", "loss_head_share", "backward_share", "communication_share", "optimizer_share",
           "idle_share", "share_of_peak_flop", "peak_memory_bytes", "epoch_hours", "epoch_cost", "failure"]


def epoch_examples(plan: Plan) -> int:
    if plan.epoch_examples or not plan.dataset:
        return plan.epoch_examples
    path = pathlib.Path(plan.dataset) / "dataset.json"
    with From(path):
        return int(read_json(path)["splits"]["train"]["examples"])


def row_of(plan: Plan, cell: Cell, output_dir: pathlib.Path) -> dict:
    row = {**dict.fromkeys(COLUMNS), **dataclasses.asdict(cell), "threads": plan.threads}
    directory = output_dir / "cells" / cell.name
    if not (directory / "cell.json").is_file():
        return {**row, "failure": "not measured"}
    with From(directory / "cell.json"):
        failure = str(read_json(directory / "cell.json")["failure"])
    if failure:
        return {**row, "failure": failure}
    with From(directory / "bench.json"):
        add_measured(row, read_json(directory / "bench.json"), plan, cell)
    return row


def add_measured(row: dict, bench: dict, plan: Plan, cell: Cell) -> None:
    row["hosts"] = len({rank["host"] for rank in bench["ranks"]})
    row["examples_per_step"] = positive(bench["examples_per_step"])
    row["tokens_per_second"] = positive(bench["tokens_per_second"])
    row["step_ms"] = positive(bench["step_ms"])
    for part in (column.removesuffix("_share") for column in COLUMNS if column.endswith("_share")):
        row[f"{part}_share"] = not_negative(bench["parts_ms"][part]) / bench["step_ms"]
    row["share_of_peak_flop"] = not_negative(bench["flop"]["share_of_peak"])
    row["peak_memory_bytes"] = max(not_negative(rank["memory_bytes"]["peak"]) for rank in bench["ranks"])
    seconds_of_step = positive(bench["seconds"]) / positive(bench["num_steps"])
    examples = epoch_examples(plan)
    if examples:
        steps = -(-examples // bench["examples_per_step"])
        row["epoch_hours"] = steps * seconds_of_step / 3600
        row["epoch_cost"] = row["epoch_hours"] * cell.ranks * plan.price if plan.price else None


def add_efficiencies(rows: list[dict]) -> None:
    """Against the fewest ranks of the same model, storage and mode that have a result."""
    first: dict[tuple, dict] = {}
    for row in sorted(rows, key=lambda row: row["ranks"]):
        if row["failure"]:
            continue
        base = first.setdefault((row["model"], row["storage"], row["mode"]), row)
        row["speedup"] = row["tokens_per_second"] / base["tokens_per_second"]
        row["efficiency"] = row["speedup"] / (row["ranks"] / base["ranks"])


def trained_rows(plan: Plan, rows: list[dict], output_dir: pathlib.Path) -> list[dict]:
    """The trade-off: accuracy beside what it costs, for each model that was trained."""
    found = []
    for model in plan.models if plan.train else []:
        for storage in plan.storages:
            directory = output_dir / "trained" / f"{name_of_model(model)}-{storage}"
            row = {"model": model, "storage": storage, "failure": "not trained"}
            if (directory / "failure.txt").is_file():
                row["failure"] = read_text(directory / "failure.txt").strip()
            if (directory / "evaluation/evaluation.json").is_file():
                row = {**row, **accuracy_of(directory / "evaluation/evaluation.json"), "failure": "",
                       "train_seconds": train_seconds(directory / "adapter/metrics.jsonl")}
                row["train_cost"] = row["train_seconds"] / 3600 * max(plan.ranks) * plan.price if plan.price else None
            cells = [r for r in rows if (r["model"], r["storage"]) == (model, storage) and not r["failure"]]
            row["peak_memory_bytes"] = max((r["peak_memory_bytes"] for r in cells), default=None)
            found.append(row)
    return found


def accuracy_of(path: pathlib.Path) -> dict:
    """The headline among candidates, or hit_rate@10 over the catalogue."""
    with From(path):
        return accuracy_in(read_json(path))


def accuracy_in(document: dict) -> dict:
    for part, metric in (("candidates", "accuracy"), ("catalogue", "hit_rate@10")):
        report = document.get(part) or {}
        if not report.get("scores"):
            continue
        metrics = report["scores"][report["headline"]]["metrics"]
        low, high = metrics[metric]["bootstrap_95"]
        return {"metric": metric, "value": not_negative(metrics[metric]["value"]), "interval_95": [not_negative(low), not_negative(high)]}
    return {"metric": None, "value": None, "interval_95": None}


def train_seconds(metrics: pathlib.Path) -> float:
    """Of all steps, without start and saves."""
    seconds = 0.0
    steps = 0
    with From(metrics):
        for line in read_text(metrics).splitlines():
            row = json.loads(line)
            if "step_ms" in row:
                seconds += row["step_ms"] / 1000 * (row["step"] - steps)
                steps = row["step"]
    return seconds


def collect(plan: Plan, output_dir: pathlib.Path) -> tuple[list[dict], dict | None]:
    """Writes the table and the page; returns the cells' rows, and the model of the cluster where there is enough for one."""
    rows = [row_of(plan, cell, output_dir) for cell in plan.cells()]
    add_efficiencies(rows)
    trained = trained_rows(plan, rows, output_dir)
    cluster = cluster_report.document_in(plan, output_dir)
    machine = next((read_json(path).get("machine") for path in sorted(output_dir.glob("cells/*/bench.json"))), None)
    machine = machine if isinstance(machine, dict) else None
    write_json(output_dir / "scaling.json", {"version": 1, "plan": dataclasses.asdict(plan), "machine": machine, "cells": rows,
                                             "trained": trained, "cluster": cluster})
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows({key: printable(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows)
    write_text(output_dir / "scaling.csv", text.getvalue())
    write_text(output_dir / "scaling.html", page_of(plan, machine, rows, trained, cluster_report.section_of(cluster) if cluster else ""))
    return rows, cluster


def text_of(rows: list[dict]) -> str:
    lines = [f"{'model':<28} {'base':<6} {'mode':<7} {'ranks':>5} {'tokens/s':>10} {'efficiency':>11} {'communication':>14} {'GiB a rank':>11}"]
    for row in rows:
        start = f"{printable(name_of_model(row['model'])):<28} {row['storage']:<6} {row['mode']:<7} {row['ranks']:>5}"
        lines.append(f"{start}  {printable(row['failure'])}" if row["failure"] else
                     f"{start} {row['tokens_per_second']:>10.0f} {100 * row['efficiency']:>9.1f} % "
                     f"{100 * row['communication_share']:>12.1f} % {row['peak_memory_bytes'] / 2**30:>11.2f}")
    return "\n".join(lines)
