"""The cells of a scaling comparison: what each measures, how it is run, and what became of it."""
import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import subprocess

from files import From, Refused, read_json, write_json, write_text

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all cells share; written to plan.json, so that a job on another node finds it."""
    models: list[str]
    ranks: list[int]
    modes: list[str]
    storages: list[str]
    dtype: str
    batch_size: int
    micro_batch_size: int
    sequence_length: int
    dataset: str
    epoch_examples: int
    threads: int
    steps: int
    warmup_steps: int
    price: float
    preset: str
    cell_timeout: float
    train: str
    bench_arguments: list[str]

    def __post_init__(self):
        """It may be read from a plan.json that somebody changed; its words become directories and arguments."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            parts = value if field.type in (list[str], list[int]) else [value]
            kind = str if field.type in (list[str], str) else (int, float) if field.type is float else int
            if not isinstance(parts, list) or any(not isinstance(part, kind) or isinstance(part, bool) for part in parts):
                raise ValueError(f"{field.name} is {value!r:.100}")
        for names, known in ((self.storages, ("dense", "nf4")), (self.modes, ("strong", "weak"))):
            if any(name not in known for name in names):
                raise ValueError(f"{' or '.join(known)} are known, found {names}")
        numbers = (*self.ranks, self.batch_size, self.micro_batch_size, self.sequence_length, self.threads, self.steps, self.warmup_steps)
        if not all(0 < number <= 10**9 for number in numbers) or not 0 <= self.epoch_examples <= 10**12:
            raise ValueError("a number is out of range")
        if not all(0 <= number < 1e9 for number in (self.price, self.cell_timeout)) or "/" in self.preset:
            raise ValueError("price, cell_timeout or preset is out of range")

    def cells(self) -> list["Cell"]:
        return [Cell(model, storage, mode, ranks) for model in self.models for storage in self.storages
                for mode in self.modes for ranks in self.ranks]


@dataclasses.dataclass(frozen=True)
class Cell:
    model: str
    storage: str
    mode: str
    ranks: int

    @property
    def name(self) -> str:
        return f"{name_of_model(self.model)}-{self.storage}-{self.mode}-{self.ranks}"


def name_of_model(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2].replace(":", "-")


def storage_options(storage: str) -> list[str]:
    return ["--load_in_4bit", "true"] if storage == "nf4" else []


def bench_options(plan: Plan, cell: Cell) -> list[str]:
    batch = plan.batch_size if cell.mode == "strong" else plan.batch_size * cell.ranks
    micro_batch = max(1, min(plan.micro_batch_size, batch // cell.ranks))
    data = ["--dataset", plan.dataset] if plan.dataset else ["--sequence_length", str(plan.sequence_length)]
    return ["--model_name_or_path", cell.model, *storage_options(cell.storage), "--dtype", plan.dtype,
            "--global_batch_size", str(batch), "--per_device_train_batch_size", str(micro_batch), *data,
            "--max_steps", str(plan.steps), "--warmup_steps", str(plan.warmup_steps), *plan.bench_arguments]


def on_ranks(plan: Plan, launcher: str, ranks: int, command: list[str]) -> list[str]:
    """`command` of allreco on so many ranks: through run.sh here, as the step of a job in SLURM."""
    if launcher == "slurm":
        return ["srun", "--mpi=pmix", "--ntasks", str(ranks), "--cpus-per-task", str(plan.threads), "--cpu-bind=none",
                str(ROOT / "build" / plan.preset / "allreco"), *command]
    return [str(ROOT / "launch/run.sh"), "-n", str(ranks), "--threads", str(plan.threads), "--preset", plan.preset, "--", *command]


def last_error(log: pathlib.Path) -> str:
    """The line that says why: the first error of rank 0, else the last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if " error " in line or line.startswith(("error", "run.sh: error"))]
    return (errors or lines[-1:] or ["it said nothing"])[0][:500]


def run(command: list[str], log: pathlib.Path, timeout: float, environment: dict[str, str]) -> str:
    """Runs a command with its output in `log`; "" when it did what it should, else why not. Stopped with this script."""
    with log.open("w") as file:
        file.write(" ".join(map(shlex.quote, command)) + "\n")
        file.flush()
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   start_new_session=True, env=environment)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            stop(process)
            return f"not done within {timeout:g} s"
        except BaseException:
            stop(process)
            raise
    return "" if code == 0 else f"exit code {code}: {last_error(log)}"


def stop(process: subprocess.Popen) -> None:
    """SIGTERM to the whole group, SIGKILL to what is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def run_cell(plan: Plan, cell: Cell, output_dir: pathlib.Path, launcher: str) -> str:
    """Measures a cell; "" or why it failed. cells/NAME gets cell.json last, whole."""
    directory = output_dir / "cells" / cell.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    result = directory / "bench.json"
    options = bench_options(plan, cell)
    environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads)}
    failure = run(on_ranks(plan, launcher, cell.ranks, ["bench", *options, "--output", str(result)]), directory / "log.txt",
                  plan.cell_timeout, environment)
    if not failure and not result.is_file():
        failure = "it ended well and wrote no result"
    write_json(directory / "cell.json", {**dataclasses.asdict(cell), "threads": plan.threads, "launcher": launcher,
                                         "options": options, "failure": failure})
    return failure


def run_collectives(plan: Plan, ranks: int, output_dir: pathlib.Path, launcher: str) -> str:
    """The data plane on so many ranks, for the model of the cluster; "" or why it failed. As a cell, in collectives/RANKS."""
    directory = output_dir / "collectives" / str(ranks)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    result = directory / "bench.json"
    failure = run(on_ranks(plan, launcher, ranks, ["bench", "--collectives", "true", "--output", str(result)]), directory / "log.txt",
                  plan.cell_timeout, {**os.environ, "OMP_NUM_THREADS": str(plan.threads)})
    if not failure and not result.is_file():
        failure = "it ended well and wrote no result"
    if failure:
        result.unlink(missing_ok=True)
    return failure


def are_collectives_measured(ranks: int, output_dir: pathlib.Path) -> bool:
    return (output_dir / "collectives" / str(ranks) / "bench.json").is_file()


def is_measured(plan: Plan, cell: Cell, output_dir: pathlib.Path) -> bool:
    """Whether a result of just these options is there."""
    path = output_dir / "cells" / cell.name / "cell.json"
    if not path.is_file():
        return False
    try:
        found = read_json(path)
    except Refused:  # it is measured again
        return False
    return not found.get("failure", True) and found.get("options") == bench_options(plan, cell) and found.get("threads") == plan.threads


def train_and_evaluate(plan: Plan, model: str, storage: str, output_dir: pathlib.Path, launcher: str) -> str:
    """Trains on the most ranks by the plan's configuration and evaluates the test split; "" or why it failed."""
    directory = output_dir / "trained" / f"{name_of_model(model)}-{storage}"
    if (directory / "evaluation/evaluation.json").is_file():
        return ""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    base = ["--model_name_or_path", model, *storage_options(storage), "--dtype", plan.dtype, "--dataset", plan.dataset]
    adapter = directory / "adapter"
    steps = {
        "train": ["train", "--config", plan.train, *base, "--output_dir", str(adapter)],
        "evaluate": ["evaluate", *base, "--adapter_name_or_path", str(adapter), "--split", "test", "--generate", "false",
                     "--output_dir", str(directory / "evaluation")],
    }
    environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads)}
    for name, command in steps.items():
        failure = run(on_ranks(plan, launcher, max(plan.ranks), command), directory / f"{name}.txt", plan.cell_timeout, environment)
        if failure:
            write_text(directory / "failure.txt", f"{name}: {failure}\n")
            return f"{name}: {failure}"
    return ""


def read_plan(output_dir: pathlib.Path) -> Plan:
    path = output_dir / "plan.json"
    with From(path):
        return Plan(**read_json(path))
