#!/usr/bin/env python3
"""What launch/slurm.sbatch decides at the end of a training: whether it asks SLURM to requeue the job. Scripts stand in for
srun, scontrol and sinfo; tests/slurm runs it on a real SLURM."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import harness  # noqa: E402

# The training's srun does what $BE says; any other one is a probe, which node n2 answers or not.
SRUN = """case "$*" in
*"allreco train"*) printf '%s\\n' "$*" > $BE/srun; eval "$(cat $BE/training)" ;;
*--nodelist=n2*) [[ -e $BE/n2_answers ]] ;;
esac"""
TOOLS = {"srun": SRUN, "sinfo": "cat $BE/sinfo",
         "scontrol": """case "$1" in requeue) echo "$2" >> $BE/requeued ;; show) printf 'n1\\nn2\\n' ;; esac"""}


class Batch:
    """A job of two nodes whose training ends as `training` says."""

    def __init__(self, folder: pathlib.Path, training: str, answers: bool = True, state: str = "mixed"):
        self.folder = folder
        self.output_dir = folder / "out"
        self.output_dir.mkdir(parents=True, exist_ok=True)
        (folder / "launch").mkdir(exist_ok=True)
        for name in ("common.sh", "training.sh"):
            (folder / "launch" / name).write_bytes((harness.ROOT / "launch" / name).read_bytes())
        program = folder / "build/release/allreco"
        program.parent.mkdir(parents=True, exist_ok=True)
        tools = folder / "bin"
        tools.mkdir(exist_ok=True)
        for path, text in [(program, ""), *((tools / name, text) for name, text in TOOLS.items())]:
            path.write_text(f"#!/usr/bin/env bash\n{text}\n")
            path.chmod(0o755)
        (folder / "training").write_text(f"cd {self.output_dir}\n{training}\n")
        (folder / "sinfo").write_text(f"{state}\n")
        if answers:
            (folder / "n2_answers").touch()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURMD_NODENAME": "n1", "SLURM_SUBMIT_DIR": str(self.folder),
               "BE": str(self.folder), "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        # As slurmd does, from a copy elsewhere.
        copy = self.folder / "slurm_script"
        copy.write_bytes((harness.ROOT / "launch/slurm.sbatch").read_bytes())
        return subprocess.Popen(["bash", copy, *(arguments or ("--output_dir", str(self.output_dir)))], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **job, **environment})

    def expect(self, code: int, requeued: bool, said: str = "", *arguments: str, **environment: str) -> None:
        self.expect_end(self.start(*arguments, **environment), code, requeued, said)

    def expect_end(self, process: subprocess.Popen, code: int, requeued: bool, said: str = "") -> None:
        output = process.communicate(timeout=harness.LONGEST_RUN_S)[0]
        found = (process.returncode, (self.folder / "requeued").exists())
        harness.expect(found == (code, requeued), f"exit code and requeued are {found}, expected {(code, requeued)}: {output}")
        harness.expect(re.search(said, output) is not None, f"nothing matches {said!r} in: {output}")
        (self.folder / "requeued").unlink(missing_ok=True)


def ends(scratch: pathlib.Path) -> None:
    Batch(scratch / "done", "touch train_results.json").expect(0, False)
    Batch(scratch / "users_error", "exit 2", answers=False).expect(2, False)
    Batch(scratch / "stopped", "exit 85").expect(85, True, "stopped.*requeueing job 7")
    Batch(scratch / "crashed", "touch config.cfg; exit 137").expect(137, False)
    Batch(scratch / "silent_node", "touch config.cfg; exit 137", answers=False).expect(137, True, "lost n2")
    Batch(scratch / "down_node", "touch config.cfg; exit 137", state="down*").expect(137, True, "lost n1 n2")
    Batch(scratch / "not_launched", "exit 0").expect(1, True, "not_launched")
    Batch(scratch / "failed_in_mpi", "exit 139").expect(139, True, "not_launched")


def always_resumes(scratch: pathlib.Path) -> None:
    batch = Batch(scratch / "resumes", "touch train_results.json")
    config = batch.folder / "x.cfg"
    # Quoted, as `train` writes a name with a #.
    quoted = batch.folder / 'out #"1'
    quoted.symlink_to(batch.output_dir)
    config.write_text('output_dir = "' + str(quoted).replace('"', '\\"') + '"  # comment\n')
    batch.expect(0, False, "", str(config), "--seed=3", SLURM_CPUS_PER_TASK="8")
    called = (batch.folder / "srun").read_text()
    harness.expect(f"--config {config} --seed=3 --resume_from_checkpoint auto --overwrite_output_dir false" in called and
                   "--mpi=pmix" in called and "--gpu-bind" not in called, f"srun was called with {called}")


def trains_on_the_gpus_it_was_given(scratch: pathlib.Path) -> None:
    batch = Batch(scratch / "gpus", "touch train_results.json")
    given = {"SLURM_GPUS_ON_NODE": "4"}
    # There is a program for CPUs alone: that is not what was paid for.
    batch.expect(2, False, "given GPUs.*build/cuda/allreco.*launch/build.sh cuda", **given)
    called = batch.folder / "srun"
    out = str(batch.output_dir)
    for program in ("cuda", "my-cuda"):
        path = batch.folder / "build" / program / "allreco"
        path.parent.mkdir()
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)

    def expect_call(program: str, device: str, *arguments: str, **environment: str) -> None:
        (batch.output_dir / "train_results.json").unlink(missing_ok=True)
        batch.expect(0, False, "", "--output_dir", out, *arguments, **environment)
        found = called.read_text()
        devices = re.findall(r"--device[ =](\w+)", found)
        harness.expect(f"build/{program}/allreco train" in found and devices == [device],
                       f"expected {program} and the device {device}, srun was called with {found}")

    expect_call("cuda", "cuda", **given)
    expect_call("cuda", "cuda", SLURM_JOB_GPUS="0")
    for auto in (["--device=auto"], ["--device", "auto"]):
        expect_call("cuda", "cuda", *auto, **given)
    # This program then says by itself that it cannot.
    expect_call("release", "cuda", ALLRECO_PRESET="release", **given)
    expect_call("my-cuda", "cuda", ALLRECO_PRESET="my-cuda", **given)
    expect_call("release", "cpu", "--device", "cpu", **given)
    expect_call("cuda", "cuda", "--device", "cuda")
    batch.expect(0, False)
    harness.expect("build/release/allreco train" in called.read_text() and "--device" not in called.read_text(),
                   f"without GPUs: srun was called with {called.read_text()}")


def limits(scratch: pathlib.Path) -> None:
    batch = Batch(scratch / "limit", "exit 85")
    batch.expect(85, False, "not requeued again after 4 times", ALLRECO_MAX_REQUEUES="4", SLURM_RESTART_COUNT="4")
    batch = Batch(scratch / "stands_still", "exit 85")
    for _ in range(2):
        batch.expect(85, True)
    batch.expect(85, False, "3 times in a row and no step after 0")
    (batch.output_dir / "checkpoint-5").mkdir()
    batch.expect(85, True)
    lost = Batch(scratch / "node_stays_away", "touch config.cfg; exit 137", answers=False)
    for _ in range(4):
        lost.expect(137, True)


def signals(scratch: pathlib.Path) -> None:
    for number, requeued in ((signal.SIGUSR1, True), (signal.SIGTERM, False)):
        batch = Batch(scratch / number.name, "trap 'exit 85' USR1; touch listens; while :; do sleep 0.05; done")
        process = batch.start()
        deadline = time.monotonic() + harness.LONGEST_RUN_S
        while not (batch.output_dir / "listens").exists():
            harness.expect(time.monotonic() < deadline, "the training did not start")
            time.sleep(0.01)
        process.send_signal(number)
        batch.expect_end(process, 85, requeued, f"{number.name}: stopping")


def refusals(scratch: pathlib.Path) -> None:
    batch = Batch(scratch / "refused", "exit 99")
    out = str(batch.output_dir)
    batch.expect(2, False, "set ALLRECO_ROOT", SLURM_SUBMIT_DIR=str(scratch))
    batch.expect(2, False, "no output_dir", "--seed", "3")
    batch.expect(2, False, "resumes with auto", "--output_dir", out, "--resume_from_checkpoint", "last")
    batch.expect(2, False, "overwrite_output_dir", "--output_dir", out, "--overwrite_output_dir=true")
    batch.expect(2, False, "overwrite_output_dir", "--overwrite_output_dir", "--output_dir", out)
    batch.expect(2, False, "overwrite_output_dir", "--output_dir", out, "--overwrite_output_dir", "yes")
    batch.expect(2, False, "srun or mpirun", ALLRECO_LAUNCHER="orterun")


def work() -> None:
    with harness.workshop(harness.parser(__doc__).parse_args()) as shop:
        for case in (ends, always_resumes, trains_on_the_gpus_it_was_given, limits, signals, refusals):
            case(shop.scratch)
            print(f"{case.__name__}: as expected", flush=True)


if __name__ == "__main__":
    harness.main(work)
