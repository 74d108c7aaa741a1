"""launch/scaling.sh's work; its opening comment is the help."""
import argparse
import contextlib
import functools
import pathlib
import shlex
import signal
import subprocess
import sys

import cluster_report
import command_line
from cells import ROOT, Cell, Plan, are_collectives_measured, is_measured, read_plan, run_cell, run_collectives, train_and_evaluate
from collect import collect, text_of
from files import OneRun, Refused, printable, write_json


def say(text: str) -> None:
    print(f"scaling.sh: {printable(text)}", flush=True)


die = functools.partial(command_line.die, "scaling.sh")


def count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 1e9 is wanted, found '{text}'")
    return int(text)


def counts(text: str) -> list[int]:
    return sorted({count(part) for part in text.split(",")})


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"a number above 0 and below 1e9 is wanted, found '{text}'")
    return value


def some_of(*choices: str):
    def parse(text: str) -> list[str]:
        parts = list(dict.fromkeys(text.split(",")))
        for part in parts:
            if part not in choices:
                raise argparse.ArgumentTypeError(f"{' or '.join(choices)} are known, found '{part}'")
        return parts
    return parse


def parse_arguments() -> argparse.Namespace:
    parser = command_line.Parser("scaling.sh")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=lambda text: list(dict.fromkeys(text.split(","))))
    parser.add_argument("--ranks", type=counts)
    parser.add_argument("--mode", type=some_of("strong", "weak"), default=["strong", "weak"])
    parser.add_argument("--storage", type=some_of("dense", "nf4"), default=["dense"])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--batch_size", type=count, default=8)
    parser.add_argument("--micro_batch_size", type=count, default=4)
    parser.add_argument("--sequence_length", type=count, default=512)
    parser.add_argument("--dataset", default="")
    parser.add_argument("--epoch_examples", type=count, default=0)
    parser.add_argument("--threads", type=count)
    parser.add_argument("--steps", type=count, default=10)
    parser.add_argument("--warmup_steps", type=count, default=2)
    parser.add_argument("--price", type=positive, default=0)
    parser.add_argument("--train", default="")
    parser.add_argument("--launcher", choices=["mpirun", "slurm"], default="mpirun")
    parser.add_argument("--slurm_arguments", default="")
    parser.add_argument("--cell_timeout", type=positive, default=3600)
    parser.add_argument("--preset", default="release")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--run_cell", default="")  # what a job of the chain is started with: a cell's name, collectives-RANKS or train
    arguments, bench_arguments = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, bench_arguments = arguments[:at], arguments[at + 1:]
    # Its value begins with -- itself, which argparse would take for the next option.
    for at in (i for i, argument in enumerate(arguments[:-1]) if argument == "--slurm_arguments"):
        arguments[at:at + 2] = [f"--slurm_arguments={arguments[at + 1]}"]
        break
    options = parser.parse_args(arguments)
    options.bench_arguments = bench_arguments
    return options


def absolute(path: str) -> str:
    return path if not path or path.startswith("random:") else str(pathlib.Path(path).resolve())


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan in the output directory where a job asks for it; else of the arguments."""
    path = options.output_dir / "plan.json"
    if options.run_cell or (options.collect and not options.models):
        if not path.is_file():
            die(f"there is no {path}: give the arguments that the cells were measured with")
        return read_plan(options.output_dir)
    if not options.models or not options.ranks:
        die("--models and --ranks are needed; see --help")
    for model in options.models:
        if not model.startswith("random:") and not pathlib.Path(model).is_dir():
            die(f"--models: {model} is no directory and does not begin with random:")
    if options.train and not (options.dataset and pathlib.Path(options.train).is_file()):
        die("--train wants a configuration file, and --dataset")
    if options.dataset and not (pathlib.Path(options.dataset) / "dataset.json").is_file():
        die(f"--dataset: there is no {options.dataset}/dataset.json; prepare writes it")
    if not (ROOT / "build" / options.preset / "allreco").exists():
        die(f"build/{options.preset}/allreco is missing: run launch/build.sh {options.preset} first")
    threads = options.threads or max(1, options.cores // max(options.ranks))
    return Plan([absolute(model) for model in options.models], options.ranks, options.mode, options.storage, options.dtype, options.batch_size,
                options.micro_batch_size, options.sequence_length, absolute(options.dataset), options.epoch_examples, threads, options.steps,
                options.warmup_steps, options.price, options.preset, options.cell_timeout, absolute(options.train), options.bench_arguments)


def pending_cells(plan: Plan, options: argparse.Namespace) -> list[Cell]:
    return [cell for cell in plan.cells() if options.again or not is_measured(plan, cell, options.output_dir)]


def pending_collectives(plan: Plan, options: argparse.Namespace) -> list[int]:
    return [n for n in plan.ranks if n > 1 and (options.again or not are_collectives_measured(n, options.output_dir))]


def run_here(plan: Plan, options: argparse.Namespace) -> None:
    pending = pending_cells(plan, options)
    say(f"{len(pending)} of {len(plan.cells())} cells to measure, {plan.threads} thread(s) a rank")
    if max(plan.ranks) * plan.threads > options.cores:
        say(f"warning: {max(plan.ranks)} ranks of {plan.threads} thread(s) share {options.cores} core(s): they cannot all run at once")
    for number, cell in enumerate(pending, 1):
        failure = run_cell(plan, cell, options.output_dir, "mpirun")
        say(f"{number}/{len(pending)} {cell.name}: {failure or 'done'}")
    for ranks in pending_collectives(plan, options):
        say(f"collectives of {ranks} ranks: {run_collectives(plan, ranks, options.output_dir, 'mpirun') or 'done'}")
    for model in plan.models if plan.train else []:
        for storage in plan.storages:
            failure = train_and_evaluate(plan, model, storage, options.output_dir, "mpirun")
            say(f"trained {model}, {storage}: {failure or 'done'}")


def submit(plan: Plan, options: argparse.Namespace) -> None:
    """One job after another, whatever became of the one before, so that cells do not disturb one another."""
    jobs = options.output_dir / "jobs"
    jobs.mkdir(exist_ok=True)
    previous = ""

    def add(name: str, ranks: int, arguments: list[str]) -> None:
        nonlocal previous
        command = shlex.join([sys.executable, "-B", __file__, "--cores", str(options.cores), "--output_dir",
                              str(options.output_dir.resolve()), *arguments])
        sbatch = ["sbatch", "--parsable", f"--job-name=scaling-{name}", f"--ntasks={ranks}", f"--cpus-per-task={plan.threads}",
                  f"--output={jobs.resolve()}/{name}.txt", *shlex.split(options.slurm_arguments)]
        if previous:
            sbatch.append(f"--dependency=afterany:{previous}")
        done = subprocess.run([*sbatch, "--wrap", command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            die(f"sbatch refused {name}: {done.stderr.strip()}")
        previous = done.stdout.strip().split(";")[0]

    pending = pending_cells(plan, options)
    for cell in pending:
        add(cell.name, cell.ranks, ["--run_cell", cell.name])
    for ranks in pending_collectives(plan, options):
        add(f"collectives-{ranks}", ranks, ["--run_cell", f"collectives-{ranks}"])
    if plan.train:
        add("train", max(plan.ranks), ["--run_cell", "train"])
    add("collect", 1, ["--collect"])
    say(f"submitted {len(pending)} cell(s) and a job that collects them, the last of them {previous}; their output is in {jobs}. The same command again "
        "submits what is then missing")


def run_job(plan: Plan, options: argparse.Namespace) -> int:
    """A job of the chain."""
    if options.run_cell == "train":
        failures = [train_and_evaluate(plan, model, storage, options.output_dir, "slurm") for model in plan.models for storage in plan.storages]
        return int(any(failures))
    if options.run_cell.startswith("collectives-"):
        failure = run_collectives(plan, int(options.run_cell.rpartition("-")[2]), options.output_dir, "slurm")
        say(f"{options.run_cell}: {failure or 'done'}")
        return int(bool(failure))
    cell = next((cell for cell in plan.cells() if cell.name == options.run_cell), None)
    if cell is None:
        die(f"plan.json has no cell {options.run_cell}")
    failure = run_cell(plan, cell, options.output_dir, "slurm")
    say(f"{cell.name}: {failure or 'done'}")
    return int(bool(failure))


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parse_arguments()
    plan = plan_of(options)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    if options.launcher == "slurm" and not options.collect and not options.run_cell:
        with OneRun(options.output_dir):
            keep_plan(plan, options.output_dir)
        submit(plan, options)  # each job is the one run in its time
        return 0
    with OneRun(options.output_dir):
        return work(plan, options)


def keep_plan(plan: Plan, output_dir: pathlib.Path) -> None:
    """Says so where another plan was there: its cells stay, but table and page are of this one."""
    with contextlib.suppress(Refused):
        if (output_dir / "plan.json").exists() and read_plan(output_dir) != plan:
            say(f"{output_dir} held another plan, which this one replaces in table and page; its cells stay")
    write_json(output_dir / "plan.json", plan.__dict__)


def work(plan: Plan, options: argparse.Namespace) -> int:
    if options.run_cell:
        return run_job(plan, options)
    keep_plan(plan, options.output_dir)
    if not options.collect:
        run_here(plan, options)
    rows, cluster = collect(plan, options.output_dir)
    print(text_of(rows))
    if cluster:
        print(cluster_report.text_of(cluster))
    say(f"wrote {options.output_dir}/scaling.html, scaling.json and scaling.csv")
    return int(any(row["failure"] for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        die(str(refused))
    except KeyboardInterrupt:
        say("stopped: the same command goes on")
        sys.exit(130)
