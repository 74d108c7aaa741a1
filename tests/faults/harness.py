"""What the tests of this folder share: the program, its ranks, runs that are compared bit by bit.

Only processes that these tests started are ever signalled, each by its number.
"""
import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/stories260k"
# No run of these tests takes a fraction of it, even on a machine that is shared; whatever does is a hang.
LONGEST_RUN_S = 120
CHECKPOINT_FILES = ["adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors", "trainer_state.json"]


def fail(message: str):
    raise SystemExit(f"FAILED: {message}")


def expect(condition: bool, message: str) -> None:
    if not condition:
        fail(message)


def parser(description: str) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco", help="the program")
    options.add_argument("--shims", type=pathlib.Path, default=None,
                         help="where libfailing_files.so and libslow_mpi.so lie; default: beside the program")
    options.add_argument("--work", type=pathlib.Path, default=None, help="keep everything here; default: a directory that goes away")
    options.add_argument("--deterministic", default="true", choices=["true", "false"],
                         help="false: needs runs that all have one world size")
    return options


class Workshop:
    """A scratch directory with a small dataset, and the ways to run the program in it."""

    def __init__(self, options: argparse.Namespace, scratch: pathlib.Path):
        self.allreco = options.allreco.resolve()
        expect(self.allreco.is_file(), f"there is no program {self.allreco}: build it, or give --allreco")
        self.shims = (options.shims or self.allreco.parent / "tests/faults").resolve()
        self.deterministic = options.deterministic
        self.scratch = scratch
        self.dataset = scratch / "dataset"
        self.temporary = scratch / "tmp"  # of Open MPI, whose session directories outlive a killed mpirun
        self.temporary.mkdir(exist_ok=True)
        if not self.dataset.exists():
            cards = ROOT / "examples/gift-cards"
            run = subprocess.run([self.allreco, "prepare", "--reviews", cards / "reviews.json.gz", "--metadata",
                                  cards / "metadata.json.gz", "--tokenizer", MODEL, "--max_history", "2", "--max_length", "256",
                                  "--output_dir", self.dataset], capture_output=True, text=True, env=self.environment())
            expect(run.returncode == 0, f"prepare ended with {run.returncode}: {run.stderr}")

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        # Each run has its own: of two mpirun that begin at once in one directory, Open MPI 4 ends one with code 1 ("mkdir: File
        # exists", orte_session_dir failed).
        own = tempfile.mkdtemp(prefix="r", dir=self.temporary)
        mpi = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TMPDIR": own,
               "OMPI_MCA_btl_vader_backing_directory": own}
        return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **mpi, **(extra or {})}

    def shim(self, name: str) -> str:
        path = self.shims / f"lib{name}.so"
        expect(path.is_file(), f"there is no {path}: build the target {name}, or give --shims")
        return str(path)

    def train_command(self, ranks: int, output_dir: pathlib.Path, options: dict[str, object],
                      shim_environment: dict[str, str] | None = None) -> list[str]:
        """`ranks` 0: without mpirun. The shims' environment reaches the ranks alone, not mpirun."""
        defaults = {"model_name_or_path": MODEL, "dataset": self.dataset, "output_dir": output_dir, "global_batch_size": 8,
                    "per_device_train_batch_size": 8, "learning_rate": 1e-3, "logging_steps": 1, "save_steps": 1, "lora_r": 2,
                    "lora_dropout": 0.1, "target_modules": "q_proj", "threads": 1, "ddp_timeout": 60}
        if self.deterministic == "true":
            defaults["deterministic"] = "true"
        given = [str(part) for key, value in {**defaults, **options}.items() for part in (f"--{key}", value)]
        command = ["env", *(f"{key}={value}" for key, value in (shim_environment or {}).items()), str(self.allreco), "train", *given]
        if ranks > 0:
            command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command]
        return command

    def start(self, command: list[str], log: pathlib.Path) -> "Run":
        return Run(command, log, self.environment())

    def train(self, ranks: int, output_dir: pathlib.Path, options: dict[str, object],
              shim_environment: dict[str, str] | None = None) -> "Run":
        run = self.start(self.train_command(ranks, output_dir, options, shim_environment), output_dir.with_suffix(".log"))
        run.wait()
        return run


@contextlib.contextmanager
def workshop(options: argparse.Namespace):
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        yield Workshop(options, options.work.resolve())
        return
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="allreco-faults-"))
    try:
        yield Workshop(options, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for task in os.scandir(f"/proc/{pid}/task")
                for child in pathlib.Path(task.path, "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Run:
    """A program under way, with or without mpirun."""

    def __init__(self, command: list[str], log: pathlib.Path, environment: dict[str, str]):
        self.under_mpirun = command[0] == "mpirun"
        self.log = log
        self.seen: set[int] = set()
        self.begin = time.monotonic()
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env=environment, start_new_session=True)

    def ranks(self) -> list[int]:
        """The processes of the ranks, in their order."""
        found = sorted(children_of(self.process.pid)) if self.under_mpirun else [self.process.pid]
        self.seen.update(found)
        return found

    def poll(self) -> int | None:
        self.ranks()
        return self.process.poll()

    def wait_until(self, condition, seconds: float = LONGEST_RUN_S, interval: float = 0.002) -> bool:
        """Whether `condition` came true before the program ended and before `seconds` were over."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(interval)
        return False

    def wait(self, seconds: float = LONGEST_RUN_S) -> int:
        """The exit code (128 + N: signal N). A program that takes longer than `seconds` is ended, and the test fails."""
        self.wait_until(lambda: False, seconds, interval=0.01)
        if self.process.poll() is None:
            self.kill_all()
            fail(f"the program did not end within {seconds} s: {self.output()[-3000:]}")
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def kill_all(self) -> None:
        for pid in [self.process.pid, *self.ranks(), *self.seen]:
            if is_alive(pid):
                self.kill(pid)
        self.process.wait()

    def output(self) -> str:
        return self.log.read_text(errors="replace")


def metrics(output_dir: pathlib.Path) -> list[dict]:
    """The whole lines of metrics.jsonl."""
    try:
        text = (output_dir / "metrics.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def last_step(output_dir: pathlib.Path) -> int:
    lines = metrics(output_dir)
    return lines[-1]["step"] if lines else 0


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_whole(checkpoint: pathlib.Path) -> bool:
    try:
        sums = dict(reversed(line.split()) for line in (checkpoint / "SHA256SUMS").read_text().splitlines())
        return all(sums[name] == sha256(checkpoint / name) for name in CHECKPOINT_FILES)
    except (FileNotFoundError, KeyError, ValueError):
        return False


def checkpoints(output_dir: pathlib.Path) -> dict[int, pathlib.Path]:
    """What bears the name of a finished checkpoint, by step."""
    found = {}
    for path in output_dir.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if step.isdigit():
            found[int(step)] = path
    return dict(sorted(found.items()))


def require_only_whole_checkpoints(output_dir: pathlib.Path) -> None:
    for path in checkpoints(output_dir).values():
        expect(is_whole(path), f"{path} has the name of a checkpoint but is none")


def newest_checkpoint(output_dir: pathlib.Path) -> int:
    return max(checkpoints(output_dir), default=0)


def stray_files(output_dir: pathlib.Path) -> list[str]:
    """Names of temporary files and directories anywhere in it."""
    return sorted(str(path.relative_to(output_dir)) for path in output_dir.rglob("*") if ".tmp" in path.name)


@dataclasses.dataclass(frozen=True)
class Bits:
    """What two runs of the same training must have in common, exactly."""
    adapter: str
    optimizer: str
    steps: tuple

    @staticmethod
    def of(output_dir: pathlib.Path) -> "Bits":
        steps = tuple((line["step"], line["loss"], line["grad_norm"], line["learning_rate"]) for line in metrics(output_dir)
                      if "loss" in line)
        newest = checkpoints(output_dir)[newest_checkpoint(output_dir)]
        return Bits(sha256(output_dir / "adapter_model.safetensors"), sha256(newest / "optimizer.safetensors"), steps)

    def require_same(self, other: "Bits", what: str) -> None:
        for mine, theirs in zip(self.steps, other.steps):
            expect(mine == theirs, f"{what}: (step, loss, grad_norm, learning_rate) {theirs}, expected {mine}")
        expect(len(self.steps) == len(other.steps), f"{what}: {len(other.steps)} lines of steps, expected {len(self.steps)}")
        expect(self.adapter == other.adapter, f"{what}: adapter_model.safetensors differs")
        expect(self.optimizer == other.optimizer, f"{what}: the last checkpoint's optimizer.safetensors differs")


def reference(shop: Workshop, ranks: int, options: dict[str, object], name: str = "reference") -> Bits:
    """The same training, left in peace."""
    output_dir = shop.scratch / name
    shutil.rmtree(output_dir, ignore_errors=True)
    run = shop.train(ranks, output_dir, options)
    expect(run.process.returncode == 0, f"the reference ended with {run.process.returncode}: {run.output()[-3000:]}")
    require_only_whole_checkpoints(output_dir)
    return Bits.of(output_dir)


def main(work) -> None:
    try:
        work()
    except KeyboardInterrupt:
        sys.exit(130)
