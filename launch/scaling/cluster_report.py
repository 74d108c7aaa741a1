"""The model of the cluster over what scaling.sh measured: JSON, text, and a section of its page."""
import pathlib

from cells import Cell, Plan, name_of_model
from cluster_model import Measured, fit_compute, leave_one_out, measured_of, on_more_hosts
from files import From, positive, printable, read_json
from links import Network
from page import escape, number, table

PREDICTED_RANKS = [8, 16, 64, 256]


def network_of(output_dir: pathlib.Path) -> Network:
    with From(output_dir / "collectives"):
        paths = sorted(output_dir.glob("collectives/*/bench.json"), key=lambda path: int(path.parent.name))
        documents = [read_json(path) for path in paths]
        for document in documents:
            if not 1 <= document["world_size"] <= 10**6:
                raise ValueError(f"world_size is {document['world_size']}")
            for time in document["times"]:
                positive(time["us"]), positive(time["bytes"]), str.strip(time["operation"])
        return Network(documents)


def measured_cells(plan: Plan, output_dir: pathlib.Path) -> dict[tuple[str, str], list[tuple[Cell, Measured]]]:
    """By model and base; without cells that failed, and those of a bench that did not say yet what the model asks for."""
    groups: dict[tuple[str, str], list[tuple[Cell, Measured]]] = {}
    for cell in plan.cells():
        directory = output_dir / "cells" / cell.name
        if not (directory / "cell.json").is_file():
            continue
        with From(directory):
            if read_json(directory / "cell.json")["failure"]:
                continue
            bench = read_json(directory / "bench.json")
            if "gradients" in bench:
                groups.setdefault((cell.model, cell.storage), []).append((cell, measured_of(cell.name, bench)))
    return groups


def document_in(plan: Plan, output_dir: pathlib.Path) -> dict | None:
    """The document of what was measured there."""
    with From(output_dir):
        return document_of(measured_cells(plan, output_dir), network_of(output_dir))


def document_of(groups: dict[tuple[str, str], list[tuple[Cell, Measured]]], network: Network) -> dict | None:
    """None: nothing to fit, since no collective was measured on several ranks, or no cell."""
    if not groups or not network.over_all:
        return None
    models = []
    for (model, storage), pairs in groups.items():
        cells = [measured for _, measured in pairs]
        compute = fit_compute(cells, network)
        largest = max(pairs, key=lambda pair: (pair[0].mode == "weak", pair[0].ranks))[1]
        loads = [on_more_hosts(largest, n) for n in PREDICTED_RANKS if n > largest.load.ranks]
        predictions = [(load, compute.predict(load, largest.step, network)) for load in loads if allowed(largest, load.ranks)]
        models.append({
            "model": model, "storage": storage, "ms_per_micro_batch": compute.ms_per_micro_batch, "us_per_token": 1000 * compute.ms_per_token,
            "crowding": compute.k, "backward_share": compute.backward_share, "gradient_bytes": sum(b.num_bytes for b in largest.step.buckets),
            "left_out": [{"cell": row.name, "ranks": row.ranks, "measured_ms": row.measured_ms, "predicted_ms": row.predicted_ms,
                          "error": row.error, "repetition": row.has_twin} for row in leave_one_out(cells, network)],
            "more_ranks": [{"ranks": load.ranks, "hosts": load.hosts, "step_ms": p.step_ms, "exposed_ms": p.exposed_ms,
                            "tokens_per_second": 1000 * load.tokens * load.ranks / p.step_ms} for load, p in predictions]})
    errors = [abs(row["error"]) for model in models for row in model["left_out"] if row["error"] is not None]
    return {"plane": network.plane, "links": network.document(), "models": models, "worst_error": max(errors, default=None)}


def allowed(cell: Measured, ranks: int) -> bool:
    """Tree sums are of powers of two."""
    return cell.step.operation != "tree_sum" or ranks & (ranks - 1) == 0


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f} %"


def text_of(document: dict) -> str:
    lines = ["", f"The model of the cluster ({document['plane']}): sums cost alpha a hop and beta a byte",
             f"  {'collective':<16} {'ranks':>6} {'alpha us':>10} {'GB/s':>8} {'fit off by':>11}"]
    for link in document["links"]:
        lines.append(f"  {link['operation']:<16} {link['ranks'] or 'all':>6} {link['alpha_us']:>10.2f} {number(link['gb_per_second'], 3):>8} "
                     f"{100 * link['worst_error']:>9.0f} %")
    lines += ["", f"  {'left out':<48} {'measured ms':>12} {'predicted':>12} {'error':>9}"]
    for model in document["models"]:
        for row in model["left_out"]:
            lines.append(f"  {printable(row['cell']):<48} {row['measured_ms']:>12.1f} {number(row['predicted_ms']):>12} {percent(row['error']):>9}"
                         f"{'  (measured twice)' if row['repetition'] else ''}")
    lines += ["", "  worst: " + (percent(document["worst_error"]).lstrip("+") or "too few cells to leave one out")]
    lines += ["", f"  {'with more ranks, weak':<48} {'ranks':>6} {'step ms':>10} {'exposed ms':>11} {'tokens/s':>12}"]
    for model in document["models"]:
        for row in model["more_ranks"]:
            lines.append(f"  {printable(name_of_model(model['model'])) + ', ' + model['storage']:<48} {row['ranks']:>6} {row['step_ms']:>10.1f} "
                         f"{row['exposed_ms']:>11.2f} {row['tokens_per_second']:>12,.0f}")
    return "\n".join(lines)


def section_of(document: dict) -> str:
    links = [[escape(link["operation"]), escape(link["ranks"] or "all"), number(link["alpha_us"], 2), number(link["gb_per_second"], 3),
              number(link["worst_error"], 0, 100)] for link in document["links"]]
    left_out = [[escape(row["cell"]) + (" (measured twice)" if row["repetition"] else ""), number(row["measured_ms"]), number(row["predicted_ms"]),
                 percent(row["error"])] for model in document["models"] for row in model["left_out"]]
    more = [[f"{escape(name_of_model(model['model']))}, {escape(model['storage'])}", str(row["ranks"]), str(row["hosts"]), number(row["step_ms"]),
             number(row["exposed_ms"], 2), number(row["tokens_per_second"], 0)] for model in document["models"] for row in model["more_ranks"]]
    worst = percent(document["worst_error"]).lstrip("+") or "not known: too few cells"
    return ("<h2>A model of the cluster</h2><p>A step is what a rank computes, with what ranks on one host cost one another, and what backward does "
            f"not hide of the gradients' sums. Each cell as all others predict it; the worst error: {worst}. docs/cluster.md has formulas and "
            "assumptions.</p>" + table(["cell, left out", "measured ms", "predicted ms", "error"], left_out)
            + "<h3>With more ranks on more hosts of this kind, weak</h3>"
            + table(["model", "ranks", "hosts", "step ms", "exposed ms", "tokens/s"], more)
            + "<h3>The data plane</h3>" + table(["collective", "ranks", "alpha, us a hop", "GB/s of a link", "fit off by at most, %"], links))
