#!/usr/bin/env python3
"""launch/scaling.sh: its cells, what it makes of their results, going on after a stop, failing cells, and the chain of SLURM jobs.

    tests/launch/scaling_test.py

A script stands in for the program: its throughput is a known function of ranks, model and storage, so that speedup, efficiency,
hours and costs can be computed here once more. sbatch and srun are stand-ins, too: jobs run when they are submitted.
"""
import csv
import html.parser
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import harness  # noqa: E402

expect = harness.expect

PROGRAM = r'''#!/usr/bin/env python3
import json, os, sys, time
arguments = sys.argv[1:]
options = dict(zip([a[2:] for a in arguments[1::2]], arguments[2::2]))
rank, size = int(os.environ.get("OMPI_COMM_WORLD_RANK", 0)), int(os.environ.get("OMPI_COMM_WORLD_SIZE", os.environ.get("FAKE_NTASKS", 1)))
if rank == 0:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(json.dumps({"command": arguments[0], "ranks": size, "threads": os.environ["OMP_NUM_THREADS"], **options}) + "\n")
if options.get("collectives") == "true":
    if rank == 0:  # 10 us a hop and 1 GB/s
        hops, share = 2 * (size - 1), 2 * (size - 1) / size
        json.dump({"plane": "MPI", "world_size": size, "times": [{"operation": "all_reduce_sum", "bytes": b, "us": 10 * hops + share * b / 1000}
                                                                 for b in (8, 4096, 1048576)]}, open(options["output"], "w"))
    sys.exit(0)
if "broken" in options["model_name_or_path"]:
    print("12:00:00 error no such shape", file=sys.stderr)
    sys.exit(2)
if "slow" in options["model_name_or_path"]:
    time.sleep(600)
if arguments[0] == "bench" and rank == 0:
    speed = 1000 * size * (1 - 0.1 * (size - 1)) / (2 if options.get("load_in_4bit") == "true" else 1)
    batch = int(options["global_batch_size"])
    seconds = 4 * batch * 10 / speed
    tokens, parts = 40 * batch, -(-batch // size // int(options["per_device_train_batch_size"]))
    json.dump({"ranks": [{"host": f"node{r % 2}", "memory_bytes": {"peak": (r + 1) << 30}, "median_step_ms": 250 * seconds,
                          "tokens": tokens / size, "micro_batches": 4 * parts} for r in range(size)],
               "world_size": size, "model": {"config": {"num_hidden_layers": 4}},
               "gradients": {"operation": "all_reduce_sum", "overlap": True, "buckets": [{"bytes": 4000, "layers_done": 4}]},
               "examples_per_step": batch, "tokens_per_second": speed, "seconds": seconds, "num_steps": 4, "step_ms": 250 * seconds,
               "parts_ms": {"data": 0.0, "forward": 75 * seconds, "loss_head": 0.0, "backward": 125 * seconds, "communication": 25 * seconds,
                            "optimizer": 12.5 * seconds, "idle": 12.5 * seconds},
               "flop": {"share_of_peak": 0.5}, 
               "machine": {"cpu": "<b>none</b>", "cores": 64, "threads_per_rank": 1, "device": "cpu"}}, open(options["output"], "w"))
if arguments[0] == "train" and rank == 0:
    os.makedirs(options["output_dir"])
    with open(options["output_dir"] + "/metrics.jsonl", "w") as metrics:
        metrics.write('{"step": 10, "step_ms": 2000.0}\n{"step": 15, "step_ms": 1000.0}\n{"step": 15, "eval_loss": 2.5}\n')
if arguments[0] == "evaluate" and rank == 0:
    os.makedirs(options["output_dir"])
    json.dump({"candidates": {"headline": "a", "scores": {"a": {"metrics": {"accuracy": {"value": 0.5, "bootstrap_95": [0.4, 0.6]}}}}}},
              open(options["output_dir"] + "/evaluation.json", "w"))
'''

SBATCH = r'''#!/usr/bin/env python3
import json, os, re, subprocess, sys
with open(os.environ["JOBS"], "a") as jobs:
    jobs.write(json.dumps(sys.argv[1:]) + "\n")
number = 100 + len(open(os.environ["JOBS"]).readlines())
subprocess.run(sys.argv[sys.argv.index("--wrap") + 1], shell=True, stdout=subprocess.DEVNULL)
print(f"{number};cluster")
'''

SRUN = r'''#!/usr/bin/env bash
while [[ "$1" == -* ]]; do
  if [[ "$1" == --ntasks ]]; then export FAKE_NTASKS="$2"; fi
  case "$1" in --ntasks | --cpus-per-task) shift ;; esac
  shift
done
exec "$@"
'''


def write_program(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


class Repository:
    def __init__(self, scratch: pathlib.Path):
        self.root = scratch / "repository"
        self.output_dir = scratch / "out"
        shutil.copytree(harness.ROOT / "launch", self.root / "launch")
        write_program(self.root / "build/release/allreco", PROGRAM)
        write_program(scratch / "bin/sbatch", SBATCH)
        write_program(scratch / "bin/srun", SRUN)
        self.environment = {**os.environ, "PATH": f"{scratch}/bin:{os.environ['PATH']}", "CALLS": str(scratch / "calls"),
                            "JOBS": str(scratch / "jobs"), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                            "TMPDIR": str(scratch)}
        (scratch / "DS").mkdir()
        (scratch / "DS/dataset.json").write_text('{"splits": {"train": {"examples": 7201}}}')
        (scratch / "train.cfg").write_text("learning_rate = 1e-3\n")
        self.scratch = scratch

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen([self.root / "launch/scaling.sh", "--output_dir", self.output_dir, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=self.environment, start_new_session=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))

    def run(self, *arguments: str, expected: int = 0) -> str:
        process = self.start(*arguments)
        said = process.communicate(timeout=harness.LONGEST_RUN_S)[0]
        expect(process.returncode == expected, f"{arguments}: exit code {process.returncode} instead of {expected}: {said}")
        return said

    def calls(self) -> list[dict]:
        """Measurements of cells since the last time that this was asked."""
        path = self.scratch / "calls"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return [call for call in found if "collectives" not in call]

    def rows(self) -> dict[tuple, dict]:
        document = json.loads((self.output_dir / "scaling.json").read_text())
        return {(row["model"], row["storage"], row["mode"], row["ranks"]): row for row in document["cells"]}


GRID = ["--models", "random:a", "--ranks", "4,1,2", "--storage", "dense,nf4", "--batch_size", "8", "--micro_batch_size", "4", "--threads", "1",
        "--price", "3", "--steps", "4"]


def command_lines() -> list[str]:
    """Of all processes that are there."""
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
    return lines


def near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= 1e-9 * abs(wanted)


def every_cell_is_measured_once(repository: Repository) -> None:
    repository.run(*GRID, "--dataset", str(repository.scratch / "DS"))
    calls = repository.calls()
    expect(len(calls) == 12, f"{len(calls)} measurements instead of 2 storages x 2 modes x 3 ranks")
    batches = {(c["ranks"], c["global_batch_size"], c["per_device_train_batch_size"]) for c in calls}
    expect(batches == {(1, "8", "4"), (2, "8", "4"), (4, "8", "2"), (2, "16", "4"), (4, "32", "4")}, f"batches {batches}")
    rows = repository.rows()
    for (_, storage, mode, ranks), row in rows.items():
        speed = 1000 * ranks * (1 - 0.1 * (ranks - 1)) / (2 if storage == "nf4" else 1)
        batch = 8 if mode == "strong" else 8 * ranks
        hours = (-(-7201 // batch)) * (batch * 10 / speed) / 3600  # steps of an epoch, the last one not full, x seconds of a step
        wanted = {"tokens_per_second": speed, "speedup": ranks * (1 - 0.1 * (ranks - 1)), "efficiency": 1 - 0.1 * (ranks - 1),
                  "communication_share": 0.1, "epoch_hours": hours, "epoch_cost": 3 * ranks * hours, "peak_memory_bytes": ranks << 30,
                  "hosts": min(ranks, 2)}
        for key, value in wanted.items():
            expect(near(row[key], value), f"{storage} {mode} {ranks}: {key} is {row[key]} instead of {value}")
    with (repository.output_dir / "scaling.csv").open() as file:
        table = list(csv.DictReader(file))
    expect(len(table) == 12 and {float(row["efficiency"]) for row in table} == {row["efficiency"] for row in rows.values()}, "scaling.csv")
    repository.run(*GRID, "--dataset", str(repository.scratch / "DS"))
    expect(not repository.calls(), "what was measured is measured again")
    few = [*GRID, "--dataset", str(repository.scratch / "DS"), "--storage", "dense", "--mode", "weak", "--ranks", "1,2"]
    repository.run(*few, "--", "--lora_r", "4")
    calls = repository.calls()
    expect(len(calls) == 2 and all(call["lora_r"] == "4" for call in calls), "other options need other measurements")
    repository.run(*few, "--again", "--", "--lora_r", "4")
    expect(len(repository.calls()) == 2, "--again measures all")


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            expect(name not in ("src", "href") and "//" not in (value or ""), f"the page asks for {name} = {value}")
        if tag not in ("meta", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "polyline", "circle"):
            while self.open and self.open.pop() != tag:
                pass

    def handle_data(self, data):
        self.texts.append(data)


def a_cell_that_fails_is_a_cell_with_its_reason(repository: Repository) -> None:
    said = repository.run("--models", "random:a,random:broken<i>", "--ranks", "1,2", "--threads", "1", expected=1)
    expect("exit code 2: 12:00:00 error no such shape" in said, f"no reason: {said}")
    rows = repository.rows()
    expect(all(("broken" in key[0]) == bool(row["failure"]) for key, row in rows.items()), "failures are mixed up")
    expect(near(rows["random:a", "dense", "weak", 2]["efficiency"], 0.9), "the others have no efficiency")
    page = Page()
    page.feed((repository.output_dir / "scaling.html").read_text())
    text = " ".join(page.texts)
    expect("broken<i>" in text and "no such shape" in text and "<b>none</b>" in text, "texts are not escaped, or missing")
    expect("svg" in page.tags and "script" not in page.tags and "i" not in page.tags, f"tags {page.tags}")
    repository.calls()
    repository.run("--models", "random:a,random:broken<i>", "--ranks", "1,2", "--threads", "1", expected=1)
    expect({call["model_name_or_path"] for call in repository.calls()} == {"random:broken<i>"}, "only what failed is tried again")
    said = repository.run("--models", "random:slow", "--ranks", "2", "--mode", "weak", "--threads", "1", "--cell_timeout", "3", expected=1)
    expect("not done within 3 s" in said, f"no timeout: {said}")


def a_stop_ends_the_cell_and_the_same_command_goes_on(repository: Repository) -> None:
    arguments = ["--models", "random:a,random:slow", "--ranks", "1", "--mode", "strong", "--threads", "1"]
    process = repository.start(*arguments)
    deadline = time.monotonic() + 60
    while not (repository.scratch / "calls").exists() or "slow" not in (repository.scratch / "calls").read_text():
        expect(time.monotonic() < deadline and process.poll() is None, "the slow cell did not begin")
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    expect(process.returncode == 130 and "the same command goes on" in said, f"exit code {process.returncode}: {said}")
    running = [line for line in command_lines() if str(repository.root / "build/release/allreco") in line]
    expect(not running, f"left running: {running}")
    repository.calls()
    repository.run(*arguments, "--cell_timeout", "2", expected=1)
    expect([call["model_name_or_path"] for call in repository.calls()] == ["random:slow"], "the measured cell is measured again")


def the_model_of_the_cluster_stands_beside_the_cells(repository: Repository) -> None:
    """The stand-in is slower by a tenth for each further rank: on 4 it has 2.8 times the speed of 1. Nothing of a model says so, but k may."""
    arguments = ["--models", "random:a", "--ranks", "1,2,4", "--threads", "1", "--batch_size", "8", "--micro_batch_size", "4"]
    said = repository.run(*arguments)
    cluster = json.loads((repository.output_dir / "scaling.json").read_text())["cluster"]
    expect(cluster["plane"] == "MPI" and [row["ranks"] for row in cluster["links"]] == [None, 2, 4], f"links {cluster['links']}")
    for row in cluster["links"]:
        expect(abs(row["alpha_us"] - 10) < 1e-6 and abs(row["gb_per_second"] - 1) < 1e-6, f"10 us and 1 GB/s were put in: {row}")
    (model,) = cluster["models"]
    expect(len(model["left_out"]) == 6 and "random-a-dense-weak-4" in said, f"left out {model['left_out']}")
    expect("A model of the cluster" in (repository.output_dir / "scaling.html").read_text(), "the page has no section of it")
    said = subprocess.run([repository.root / "launch/cluster_model.sh", "--scaling", repository.output_dir, "--output",
                           repository.scratch / "cluster.json"], capture_output=True, text=True, check=True).stdout
    expect("10.00" in said and json.loads((repository.scratch / "cluster.json").read_text()) == cluster, f"cluster_model.sh says otherwise: {said}")
    repository.calls()
    (repository.scratch / "calls").unlink(missing_ok=True)
    repository.run(*arguments)
    expect(not (repository.scratch / "calls").exists(), "the collectives are measured again")


def trained_models_stand_with_their_cost(repository: Repository) -> None:
    arguments = ["--models", "random:a", "--ranks", "1,2", "--mode", "strong", "--threads", "1", "--price", "3", "--dataset",
                 str(repository.scratch / "DS"), "--train", str(repository.scratch / "train.cfg")]
    repository.run(*arguments)
    calls = [call for call in repository.calls() if call["command"] != "bench"]
    expect([(call["command"], call["ranks"]) for call in calls] == [("train", 2), ("evaluate", 2)], f"calls {calls}")
    (row,) = json.loads((repository.output_dir / "scaling.json").read_text())["trained"]
    wanted = {"metric": "accuracy", "value": 0.5, "interval_95": [0.4, 0.6], "train_seconds": 25.0, "train_cost": 25 / 3600 * 2 * 3}
    expect(all(row[key] == value for key, value in wanted.items()), f"{row}, expected {wanted}")
    expect("0.5000 [0.4000, 0.6000]" in (repository.output_dir / "scaling.html").read_text(), "the page does not show it")
    repository.run(*arguments)
    expect(not repository.calls(), "what was trained is trained again")


def slurm_runs_one_job_after_another(repository: Repository) -> None:
    repository.run("--models", "random:a", "--ranks", "1,2", "--mode", "weak", "--threads", "3", "--launcher", "slurm", "--slurm_arguments",
                   "--partition=p --time=5")
    jobs = [json.loads(line) for line in (repository.scratch / "jobs").read_text().splitlines()]
    expect(len(jobs) == 4, f"{len(jobs)} jobs instead of two cells, the collectives of 2 ranks and one that collects")
    sizes = [[a for a in job if a.startswith(("--ntasks", "--cpus"))] for job in jobs]
    expect(sizes[:3] == [["--ntasks=1", "--cpus-per-task=3"], *2 * [["--ntasks=2", "--cpus-per-task=3"]]], f"sizes {sizes}")
    chain = [[a for a in job if a.startswith("--dependency")] for job in jobs]
    expect(chain == [[], *([f"--dependency=afterany:{n}"] for n in (101, 102, 103))], f"chain {chain}")
    expect(all("--partition=p" in job and "--time=5" in job for job in jobs), "sbatch does not get the arguments for it")
    expect(near(repository.rows()["random:a", "dense", "weak", 2]["efficiency"], 0.9), "the last job did not collect")


def one_argument_for_sbatch_is_enough(repository: Repository) -> None:
    """It looks like an option of scaling.sh."""
    repository.run("--models", "random:a", "--ranks", "1", "--mode", "weak", "--launcher", "slurm", "--slurm_arguments", "--partition=p")
    jobs = [json.loads(line) for line in (repository.scratch / "jobs").read_text().splitlines()]
    expect(jobs and all("--partition=p" in job for job in jobs), f"jobs {jobs}")


def wrong_arguments_are_named(repository: Repository) -> None:
    good = {"--models": "random:a", "--ranks": "1"}
    for option, value, named in [("--ranks", "1,x", "found 'x'"), ("--ranks", "0", "found '0'"), ("--mode", "stron", "found 'stron'"),
                                 ("--models", "nowhere", "nowhere is no directory"), ("--price", "-1", "found '-1'"),
                                 ("--preset", "none", "build/none/allreco is missing"), ("--dataset", "nowhere", "nowhere/dataset.json"),
                                 ("--train", "nowhere", "--train wants"), ("--what", "1", "--what")]:
        arguments = [part for pair in {**good, option: value}.items() for part in pair]
        said = repository.run(*arguments, expected=2)
        expect(named in said, f"{option} {value}: {said}")
    expect("--models and --ranks are needed" in repository.run(expected=2), "nothing is given")
    expect("plan.json" in repository.run("--collect", expected=2), "--collect of nothing")
    expect(not repository.output_dir.exists(), "wrong arguments leave something behind")


def one_run_at_a_time_measures_in_a_directory(repository: Repository) -> None:
    slow = repository.start("--models", "random:slow", "--ranks", "1", "--mode", "strong", "--threads", "1")
    deadline = time.monotonic() + 60
    while not (repository.scratch / "calls").exists():
        expect(time.monotonic() < deadline and slow.poll() is None, "the slow cell did not begin")
        time.sleep(0.05)
    plan = (repository.output_dir / "plan.json").read_bytes()
    for arguments in (["--models", "random:a", "--ranks", "1", "--threads", "1"], ["--collect"],
                      ["--models", "random:a", "--ranks", "1", "--launcher", "slurm"]):
        said = repository.run(*arguments, expected=2)
        expect(f"is in use by process {slow.pid} on " in said, f"no owner is named: {said}")
    expect((repository.output_dir / "plan.json").read_bytes() == plan and not (repository.scratch / "jobs").exists(), "a refused run wrote something")
    os.killpg(slow.pid, signal.SIGKILL)
    slow.communicate()
    said = repository.run("--models", "random:a\x1b[31m\nb", "--ranks", "1", "--mode", "strong", "--threads", "1")  # a dead owner's directory
    expect("held another plan" in said, f"the plan is replaced without a word: {said}")
    everything = said + "".join((repository.output_dir / f"scaling.{kind}").read_text() for kind in ("html", "csv", "json"))
    expect("\x1b" not in everything and "\\x1b[31m\\nb" in said, f"control characters come through: {said!r}")
    expect(not [path for path in repository.output_dir.rglob("*") if ".tmp" in path.name], "temporary files are left")


def files_that_are_damaged_or_made_to_hurt_are_named(repository: Repository) -> None:
    """Exit code 2 and the file's name; 1 is for a cell that failed. Nothing outside the directory is touched."""
    arguments = ["--models", "random:a", "--ranks", "1,2", "--mode", "strong", "--threads", "1"]
    repository.run(*arguments)
    precious = repository.scratch / "precious-dense-strong-1"
    precious.mkdir()
    kept = {path: path.read_bytes() for path in repository.output_dir.rglob("*.json")}
    plan = json.loads((repository.output_dir / "plan.json").read_text())
    cell = "cells/random-a-dense-strong-1"
    bench = json.loads((repository.output_dir / cell / "bench.json").read_text())
    cases = [("plan.json", {**plan, field: value}) for field, value in
             [("modes", ["../../x"]), ("storages", ["../../precious"]), ("ranks", ["1"]), ("ranks", [10**12]), ("models", "random:a"), ("more", 1), ("price", True),
              ("preset", "../../x"), ("threads", 0), ("steps", 1.5)]]
    cases += [(f"{cell}/bench.json", {**bench, field: value}) for field, value in
              [("tokens_per_second", "<script>"), ("tokens_per_second", 0), ("step_ms", None), ("parts_ms", []), ("ranks", 3), ("num_steps", -1), ("flop", {}),
               ("world_size", 10**9), ("model", {"config": {"num_hidden_layers": 10**12}}), ("gradients", {"buckets": 1})]]
    cases += [(name, text) for name in ("plan.json", f"{cell}/cell.json", f"{cell}/bench.json", "collectives/2/bench.json")
              for text in ("", "{", "[]", "[" * 100_000, "\xff", "{}", '{"world_size": 1e400, "times": [1]}', None)]
    for name, value in cases:
        path = repository.output_dir / name
        path.unlink()
        if value is None:
            path.symlink_to("/dev/zero")
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="latin-1")
        is_no_cell = value is None and name.endswith("cell.json")  # which is then not measured
        said = repository.run("--collect", expected=1 if is_no_cell else 2)
        expect(is_no_cell or pathlib.Path(name).name in said or "collectives" in said or cell in said, f"{name} = {str(value)[:80]} is not named: {said}")
        expect("Traceback" not in said and len(said) < 2000, f"{name} = {str(value)[:80]}: {said}")
        path.unlink()
        path.write_bytes(kept[path])
    hurt = {**plan, "models": ["random:precious"], "storages": ["../../precious-dense"]}
    (repository.output_dir / "plan.json").write_text(json.dumps(hurt))
    repository.run("--run_cell", "random-precious-../../precious-dense-strong-1", expected=2)
    expect(precious.is_dir(), "a plan from elsewhere removed a directory elsewhere")


CASES = [every_cell_is_measured_once, a_cell_that_fails_is_a_cell_with_its_reason, a_stop_ends_the_cell_and_the_same_command_goes_on,
         the_model_of_the_cluster_stands_beside_the_cells, trained_models_stand_with_their_cost, slurm_runs_one_job_after_another, one_argument_for_sbatch_is_enough, wrong_arguments_are_named,
         one_run_at_a_time_measures_in_a_directory, files_that_are_damaged_or_made_to_hurt_are_named]


def work() -> None:
    import tempfile
    for case in CASES:
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="allreco-scaling-"))
        try:
            case(Repository(scratch))
            print(f"{case.__name__}: as expected", flush=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    harness.main(work)
