#!/usr/bin/env python3
"""scaling.json of one or more comparisons as the tables of docs/scaling.md.

  bench/scaling_tables.py SC/scaling.json...
"""
import json
import pathlib
import sys


def name_of(cell: dict) -> str:
    return f"{cell['model'].rstrip('/').rpartition('/')[2].replace('random:', '')}, {cell['storage']}"


def share(value: float) -> str:
    return f"{100 * value:.1f}"


def cell_lines(documents: list[dict]) -> list[str]:
    lines = ["| model | mode | ranks | examples a step | tokens/s | speedup | efficiency % | step ms | communication % | idle % | % of peak | GiB a rank |", "|" + "---|" * 12]
    for cell in (cell for document in documents for cell in document["cells"]):
        start = f"| {name_of(cell)} | {cell['mode']} | {cell['ranks']} | "
        lines.append(start + (f"{cell['failure']} |" if cell["failure"] else
                              f"{cell['examples_per_step']} | {cell['tokens_per_second']:,.0f} | {cell['speedup']:.2f} | {share(cell['efficiency'])} | "
                              f"{cell['step_ms']:,.1f} | {share(cell['communication_share'])} | {share(cell['idle_share'])} | "
                              f"{share(cell['share_of_peak_flop'])} | {cell['peak_memory_bytes'] / 2**30:.2f} |"))
    return lines


def left_out_lines(documents: list[dict]) -> list[str]:
    lines = ["| cell, left out | measured ms | predicted ms | error % |", "|---|---|---|---|"]
    for row in (row for document in documents for model in (document["cluster"] or {"models": []})["models"] for row in model["left_out"]):
        name = row["cell"].replace("random-", "") + (" (measured twice)" if row["repetition"] else "")
        lines.append(f"| {name} | {row['measured_ms']:,.1f} | " + ("too few others | |" if row["error"] is None else
                                                                  f"{row['predicted_ms']:,.1f} | {100 * row['error']:+.1f} |"))
    return lines


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    documents = [json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]]
    print("\n".join([*cell_lines(documents), "", *left_out_lines(documents)]))


if __name__ == "__main__":
    main()
