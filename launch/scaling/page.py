"""scaling.html: one page without network or script."""
import html
import math

from cells import Plan, name_of_model
from files import printable

STYLE = """
:root { color-scheme: light dark; --line: #8886; --ink: CanvasText; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.text { text-align: left; }
figure { margin: 1rem 0; } figcaption, .note { color: color-mix(in srgb, CanvasText 70%, Canvas); }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .axis { stroke: var(--line); }
code { overflow-wrap: anywhere; }
"""
COLOURS = ["#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"]
WIDTH, HEIGHT, LEFT, BOTTOM = 620, 300, 70, 40


def escape(text) -> str:
    return html.escape(printable(str(text)), quote=True)


def number(value, digits: int = 1, scale: float = 1) -> str:
    return "" if value is None else f"{value * scale:,.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{''.join(f'<th>{escape(h)}</th>' for h in head)}</tr></thead><tbody>{cells}</tbody></table></div>"


def series_of(rows: list[dict], mode: str, key: str) -> dict[str, list[tuple[int, float]]]:
    series: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row["mode"] == mode and not row["failure"]:
            series.setdefault(f"{name_of_model(row['model'])}, {row['storage']}", []).append((row["ranks"], row[key]))
    return series


def chart(title: str, unit: str, series: dict[str, list[tuple[int, float]]], logarithmic: bool) -> str:
    """Values against ranks, both axes logarithmic, or the values from 0 on."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    ranks = sorted({rank for rank, _ in points})
    values = [value for _, value in points]
    low, high = (min(values) / 1.3, max(values) * 1.3) if logarithmic else (0, max(values) * 1.1)
    span = math.log(ranks[-1] / ranks[0]) or 1

    def x(rank: int) -> float:
        return LEFT + 15 + (WIDTH - LEFT - 40) * (math.log(rank / ranks[0]) / span if len(ranks) > 1 else 0.5)

    def y(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 15) * share

    ticks = [low * (high / low) ** (i / 4) for i in range(5)] if logarithmic else [high * i / 5 for i in range(6)]
    parts = [f'<line class=axis x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
             f'<text x="{LEFT - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t:,.{0 if high > 20 else 2}f}</text>' for t in ticks]
    parts += [f'<text x="{x(r):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{r}</text>' for r in ranks]
    legend = []
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x(rank):.1f},{y(value):.1f}" for rank, value in sorted(line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(rank):.1f}" cy="{y(value):.1f}" r="4" fill="{colour}"><title>{escape(name)}, {rank} rank(s): {value:,.2f}'
                  f'</title></circle>' for rank, value in line]
        legend.append(f'<span style="color:{colour}">&#9679;</span> {escape(name)}')
    return (f"<figure><figcaption>{escape(title)} ({escape(unit)}) against ranks. {' &nbsp; '.join(legend)}</figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" style="max-width:{WIDTH}px" role="img" aria-label="{escape(title)}">'
            f"{''.join(parts)}</svg></figure>")


def cell_table(rows: list[dict]) -> str:
    head = ["model", "ranks", "hosts", "tokens/s", "speedup", "efficiency %", "step ms", "communication %", "idle %", "% of peak FLOP",
            "GiB a rank"]
    for title, key in (("hours an epoch", "epoch_hours"), ("cost an epoch", "epoch_cost")):
        if any(row[key] is not None for row in rows):
            head.append(title)
    lines = []
    for row in rows:
        name = f"{escape(name_of_model(row['model']))}, {escape(row['storage'])}"
        if row["failure"]:
            lines.append([name, str(row["ranks"]), f"<td class=text colspan={len(head) - 2}>{escape(row['failure'])}"])
            continue
        lines.append([name, str(row["ranks"]), str(row["hosts"]), number(row["tokens_per_second"], 0), number(row["speedup"], 2),
                      number(row["efficiency"], 1, 100), number(row["step_ms"]), number(row["communication_share"], 1, 100),
                      number(row["idle_share"], 1, 100), number(row["share_of_peak_flop"], 1, 100),
                      number(row["peak_memory_bytes"], 2, 2**-30), number(row["epoch_hours"], 2), number(row["epoch_cost"], 2)][:len(head)])
    return table(head, lines).replace("<td><td ", "<td ")


def trained_table(trained: list[dict]) -> str:
    lines = []
    for row in trained:
        name = f"{escape(name_of_model(row['model']))}, {escape(row['storage'])}"
        if row["failure"]:
            lines.append([name, f"<td class=text colspan=5>{escape(row['failure'])}"])
            continue
        low, high = row["interval_95"] or (None, None)
        lines.append([name, escape(row["metric"]), f"{number(row['value'], 4)} [{number(low, 4)}, {number(high, 4)}]",
                      number(row["train_seconds"], 0), number(row["peak_memory_bytes"], 2, 2**-30), number(row["train_cost"], 2)])
    head = ["model", "metric on test", "value, 95 %", "seconds of training", "GiB a rank", "cost"]
    return "<h2>Accuracy against its cost</h2>" + table(head, lines).replace("<td><td ", "<td ")


MODES = {"strong": "Strong scaling: the same global batch, dealt to more ranks", "weak": "Weak scaling: the same batch for each rank"}


def page_of(plan: Plan, machine, rows: list[dict], trained: list[dict], cluster: str) -> str:
    parts = ["<h1>Scaling</h1>", f"<p>{escape(len(rows))} cells, {escape(sum(not row['failure'] for row in rows))} measured. "
             f"{escape(plan.dtype)}, batches of {escape(plan.batch_size)} examples, {escape(plan.threads)} CPU thread(s) a rank"
             f"{'' if plan.dataset else f', random tokens, {plan.sequence_length} an example'}.</p>"]
    if machine:
        parts.append(f"<p class=note>Machine: {escape(', '.join(f'{key} {value}' for key, value in machine.items()))}</p>")
    for mode in plan.modes:
        parts += [f"<h2>{MODES[mode]}</h2>", cell_table([row for row in rows if row["mode"] == mode]),
                  chart("Throughput", "tokens per second", series_of(rows, mode, "tokens_per_second"), True),
                  chart("Efficiency", "1: each rank as fast as the fewest", series_of(rows, mode, "efficiency"), False)]
    if trained:
        parts.append(trained_table(trained))
    parts.append(cluster)
    parts.append("<p class=note>Efficiency is tokens per second of a rank, against the fewest ranks of the same row group. Communication is what "
                 "backward did not hide, with waiting for slower ranks. The peak is that of libtorch's fastest product in the same run. "
                 "The numbers: scaling.json, scaling.csv. What each means: docs/bench.md.</p>")
    return ("<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>Scaling</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n")
