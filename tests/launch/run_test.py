#!/usr/bin/env python3
"""launch/run.sh as the supervisor of a training, under the real mpirun: when it restarts, with which options, when it
gives up, and what signals do. A script stands in for the program where only its exit codes and files matter; the last
case kills a rank of the real one and compares bits.

    tests/launch/run_test.py --allreco build/release/allreco
"""
import mmap
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import harness  # noqa: E402

RESUMED = "--resume_from_checkpoint auto --overwrite_output_dir false"


class Repository:
    """A copy of launch/ with a program of this test's choice in build/release."""

    def __init__(self, scratch: pathlib.Path, program: pathlib.Path):
        self.root = scratch
        self.output_dir = scratch / "out"
        (scratch / "build/release").mkdir(parents=True)
        shutil.copytree(harness.ROOT / "launch", scratch / "launch")
        (scratch / "build/release/allreco").symlink_to(program)

    def plan(self, *lines: str) -> None:
        (self.root / "plan").write_text("".join(line + "\n" for line in lines))

    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def start(self, *arguments, restarts: int = 0, ranks: int = 1, command: str = "train",
              before: list[str] = [], environment: dict[str, str] | None = None) -> subprocess.Popen:
        run = [self.root / "launch/run.sh", "-n", str(ranks), "--threads", "1", "--max-restarts", str(restarts),
               "--restart-pause", "0", *before, "--", command, *map(str, arguments)]
        environment = {**os.environ, "SCRIPT_DIR": str(self.root), "OMPI_ALLOW_RUN_AS_ROOT": "1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **(environment or {})}
        self.log = (self.root / "log").open("w+")
        # A session of its own, as a terminal's: its SIGINT is not ignored, whatever this test was started with.
        return subprocess.Popen(run, stdout=self.log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def output(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def run(self, *arguments, expected: int, **how) -> str:
        code = self.start(*arguments, **how).wait(harness.LONGEST_RUN_S)
        harness.expect(code == expected, f"run.sh ended with {code}, expected {expected}: {self.output()[-3000:]}")
        return self.output()


def expect_calls(repository: Repository, *expected: str) -> None:
    harness.expect(repository.calls() == list(expected),
                   f"the program was called with {repository.calls()}, expected {list(expected)}: {repository.output()[-3000:]}")


def expect_said(output: str, *patterns: str) -> None:
    for pattern in patterns:
        harness.expect(re.search(pattern, output) is not None, f"nothing matches {pattern!r} in: {output[-3000:]}")


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + harness.LONGEST_RUN_S
    while not condition():
        harness.expect(time.monotonic() < deadline, f"waited in vain for {what}")
        time.sleep(0.01)


def without_restarts(repository: Repository) -> None:
    repository.plan("open_output_dir; exit 3")
    repository.run("--output_dir", repository.output_dir, expected=3)
    expect_calls(repository, f"train --output_dir {repository.output_dir}")


def restarts_from_the_newest_checkpoint(repository: Repository) -> None:
    out = repository.output_dir
    repository.plan("open_output_dir; save 9; save 10; exit 1", "save 12; mkdir $output_dir/checkpoint-14.tmp; kill -9 $$", "exit 0")
    said = repository.run("--output_dir", out, "--max_steps", 20, restarts=2, expected=0)
    again = f"train --output_dir {out} --max_steps 20 {RESUMED}"
    expect_calls(repository, f"train --output_dir {out} --max_steps 20", again, again)
    expect_said(said, r"exit code 1 \(attempt 1 of 3\); going on from \S+/checkpoint-10 in 0 s",
                r"exit code 137 \(attempt 2 of 3\); going on from \S+/checkpoint-12 in")


def options_are_replaced_in_all_forms(repository: Repository) -> None:
    out = repository.output_dir
    repository.plan("open_output_dir; exit 1", "exit 0")
    repository.run("--resume_from_checkpoint=auto", "--overwrite_output_dir", "true", "--output_dir", out, "--seed=3",
                   restarts=1, expected=0)
    expect_calls(repository, f"train --resume_from_checkpoint=auto --overwrite_output_dir true --output_dir {out} --seed=3",
                 f"train --output_dir {out} --seed=3 {RESUMED}")
    repository.plan("exit 99", "exit 99", "open_output_dir; exit 1", "exit 0")  # by number: two calls have been
    out = repository.root / "another"
    repository.run("--overwrite_output_dir", "--output_dir", out, restarts=1, expected=0)
    harness.expect(repository.calls()[3:] == [f"train --output_dir {out} {RESUMED}"], f"then {repository.calls()[3:]}")


def no_restart_after_a_users_error_or_a_stop(repository: Repository) -> None:
    for number, code in enumerate([2, 85]):
        repository.plan(*["exit 99"] * number, f"open_output_dir; exit {code}", "exit 0")
        repository.run("--output_dir", repository.output_dir, restarts=5, expected=code)
        harness.expect(len(repository.calls()) == number + 1, f"restarted after exit code {code}")


def what_is_no_file_is_not_waited_for(repository: Repository) -> None:
    """A FIFO as the config file or in the output directory: the program refuses it, which must come to be asked."""
    os.mkfifo(repository.root / "options.cfg")
    repository.output_dir.mkdir()
    os.mkfifo(repository.output_dir / "metrics.jsonl")
    repository.plan("exit 2", "exit 2")
    repository.run("--config", repository.root / "options.cfg", restarts=1, expected=2)
    repository.run("--output_dir", repository.output_dir, "--resume_from_checkpoint", "auto", restarts=1, expected=2)


def each_rank_gets_gpus_of_its_own(repository: Repository) -> None:
    """Four GPUs, two on each of two NUMA nodes; the second node has core 0 alone, and the first one cores that are not there."""
    tools = repository.root / "bin"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("""#!/usr/bin/env bash
case "$*" in
  *query-gpu=index*) printf '%s\\n' 0 1 2 3 ;;
  --id=[01]*) echo 00000000:0A:00.0 ;;
  --id=[23]*) echo 00000000:3B:00.0 ;;
esac
""")
    (tools / "nvidia-smi").chmod(0o755)
    system = repository.root / "sys"
    for bus, node, cores in (("0000:0a:00.0", 0, "4000-4001"), ("0000:3b:00.0", 1, "0")):
        device, numa = system / "bus/pci/devices" / bus, system / f"devices/system/node/node{node}"
        device.mkdir(parents=True)
        numa.mkdir(parents=True)
        (device / "numa_node").write_text(f"{node}\n")
        (numa / "cpulist").write_text(f"{cores}\n")
    note = 'echo "$OMPI_COMM_WORLD_LOCAL_RANK: $CUDA_VISIBLE_DEVICES on $(taskset -cp $$ | sed "s/.*: //")" >> $SCRIPT_DIR/seen; exit 0'
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "ALLRECO_SYSFS": str(system), "CUDA_VISIBLE_DEVICES": ""}
    free = subprocess.run(["taskset", "-cp", str(os.getpid())], capture_output=True, text=True).stdout.split(": ")[1].strip()

    def expect_seen(ranks: int, gpus: int, *expected: str, **also: str) -> None:
        (repository.root / "seen").unlink(missing_ok=True)
        (repository.root / "calls").unlink(missing_ok=True)
        repository.plan(*[note] * ranks)
        repository.run("--seed", "1", ranks=ranks, before=["--gpus-per-task", str(gpus)], environment={**environment, **also}, expected=0)
        seen = sorted((repository.root / "seen").read_text().splitlines())
        harness.expect(seen == sorted(expected), f"the ranks saw {seen}, expected {sorted(expected)}: {repository.output()}")

    expect_seen(2, 2, f"0: 0,1 on {free}", "1: 2,3 on 0")
    expect_seen(2, 1, f"0: 0 on {free}", f"1: 1 on {free}")
    expect_seen(2, 1, f"0: 1 on {free}", "1: 3 on 0", CUDA_VISIBLE_DEVICES="1,3")
    (repository.root / "calls").unlink()
    said = repository.run("--seed", "1", ranks=2, before=["--gpus-per-task", "3"], environment=environment, expected=2)
    expect_said(said, "rank 1 of .* wants the GPUs 3 to 5, but there are 4")


def the_environment_reaches_other_hosts(repository: Repository) -> None:
    repository.plan("exit 0")
    said = repository.run("--seed", "1", before=["--host", "localhost:1"], expected=0,
                          environment={"NCCL_SOCKET_IFNAME": "eth0", "CUBLAS_WORKSPACE_CONFIG": ":16:8"})
    expect_said(said, r"-x NCCL_SOCKET_IFNAME\b", r"-x CUBLAS_WORKSPACE_CONFIG\b", r"-x OMP_NUM_THREADS\b")


def gives_up_without_progress(repository: Repository) -> None:
    repository.plan("open_output_dir; save 4; log_step 5; exit 1", *["exit 1"] * 5)
    said = repository.run("--output_dir", repository.output_dir, restarts=9, expected=1)
    harness.expect(len(repository.calls()) == 4, f"{len(repository.calls())} attempts, expected 1 that came further and 3")
    expect_said(said, "giving up: 3 faults in a row and no step after 5")


def goes_on_while_there_is_progress_until_the_limit(repository: Repository) -> None:
    repository.plan("open_output_dir; exit 1", *[f"log_step {step}; exit 1" for step in range(1, 9)])
    said = repository.run("--output_dir", repository.output_dir, restarts=5, expected=1)
    harness.expect(len(repository.calls()) == 6, f"{len(repository.calls())} attempts, expected 6")
    expect_said(said, "that was the last of --max-restarts 5")


def an_older_run_to_be_overwritten_is_not_resumed(repository: Repository) -> None:
    out, config = repository.output_dir, repository.root / "options.cfg"
    config.write_text("learning_rate = 1e-3\noverwrite_output_dir = true  # this time\n")
    out.mkdir()
    (out / "config.cfg").write_text("of the older run")
    (out / "checkpoint-90").mkdir()
    # It fails before it has touched the directory; then after it has emptied it.
    repository.plan("exit 1", "overwrite; save 3; exit 1", "exit 0")
    said = repository.run("--config", config, "--output_dir", out, restarts=2, expected=0)
    first = f"train --config {config} --output_dir {out}"
    expect_calls(repository, first, first, f"{first} {RESUMED}")
    expect_said(said, "from the start, as it had not begun", "going on from \\S+/checkpoint-3 in")


def a_run_that_went_back_does_not_jump_forward(repository: Repository) -> None:
    out = repository.output_dir
    out.mkdir()
    for step in (50, 100):
        (out / f"checkpoint-{step}").mkdir()
    repository.plan("open_output_dir; exit 1", "open_output_dir; save 60; exit 1", "exit 0")
    first = f"train --resume_from_checkpoint {out}/checkpoint-50 --output_dir {out}"
    repository.run(*first.split()[1:], restarts=2, expected=0)
    expect_calls(repository, first, first,
                 f"train --output_dir {out} --resume_from_checkpoint {out}/checkpoint-60 --overwrite_output_dir false")


def signals_stop_it(repository: Repository) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        for name in ("calls", "listens"):
            (repository.root / name).unlink(missing_ok=True)
        shutil.rmtree(repository.output_dir, ignore_errors=True)
        repository.plan("open_output_dir; stop_when_asked", "exit 0")
        supervisor = repository.start("--output_dir", repository.output_dir, restarts=5)
        wait_for((repository.root / "listens").exists, "the program to listen")
        supervisor.send_signal(number)
        code = supervisor.wait(harness.LONGEST_RUN_S)
        harness.expect(code == 85 and len(repository.calls()) == 1,
                       f"{number.name}: run.sh ended with {code} after {repository.calls()}: {repository.output()}")
        expect_said(repository.output(), f"stopped by {number.name}; the same command with --resume_from_checkpoint auto "
                    r".*goes on from \S+/checkpoint-7")


def a_killed_supervisor_leaves_no_training_behind(repository: Repository) -> None:
    repository.plan("open_output_dir; stop_when_asked")
    supervisor = repository.start("--output_dir", repository.output_dir)
    wait_for((repository.root / "listens").exists, "the program to listen")
    (mpirun,) = harness.children_of(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not harness.is_alive(mpirun), "the end of mpirun")
    harness.expect((repository.output_dir / "checkpoint-7").is_dir(), "the training ended without saving")


def dead_shared_memory_is_cleared(repository: Repository) -> None:
    """What nobody uses goes before a start; what a living process has open or mapped stays, and what another host made."""
    backing = repository.root / "shm"
    backing.mkdir()
    def segment(number: int, host: str = os.uname().nodename) -> pathlib.Path:
        path = backing / f"vader_segment.{host}.{os.geteuid()}.5a5a{number:04x}.0"
        path.write_bytes(bytes(4096))
        return path
    dead, opened, mapped, foreign = segment(1), segment(2), segment(3), segment(4, "another-host")
    other = backing / "somebodys_file"
    other.touch()
    with opened.open("rb"), mapped.open("r+b") as file:
        view = mmap.mmap(file.fileno(), 4096)
        file.close()
        for command in ("train", "evaluate"):
            dead.write_bytes(bytes(4096))
            repository.plan(*["exit 0"] * 2)
            said = repository.run("--output_dir", repository.output_dir, command=command, expected=0,
                                  environment={"OMPI_MCA_btl_vader_backing_directory": str(backing)})
            left = {path for path in (dead, opened, mapped, foreign, other) if path.exists()}
            harness.expect(left == {opened, mapped, foreign, other}, f"{command}: left are {left}: {said[-2000:]}")
            expect_said(said, r"cleared 1 segment\(s\) of shared memory")
        view.close()


def restarts_are_for_training(repository: Repository) -> None:
    repository.plan("exit 0")
    expect_said(repository.run(restarts=1, command="evaluate", expected=2), "--max-restarts is for train")
    expect_calls(repository)


def the_real_program_ends_with_the_same_bits(shop: harness.Workshop) -> None:
    """A rank is killed, the restarted training is interrupted, and a new command goes on."""
    train = {"max_steps": 100, "save_steps": 5}
    expected = harness.reference(shop, 2, train)
    repository = Repository(shop.scratch / "real", shop.allreco)
    command = shop.train_command(0, repository.output_dir, train)
    arguments = command[command.index("train") + 1:]
    supervisor = repository.start(*arguments, ranks=2, restarts=1)
    wait_for(lambda: harness.newest_checkpoint(repository.output_dir) >= 5, "a checkpoint")
    (mpirun,) = harness.children_of(supervisor.pid)
    os.kill(harness.children_of(mpirun)[1], signal.SIGKILL)
    restarted = r"exit code 137 \(attempt 1 of 2\); going on from \S+/checkpoint-(\d+) in 0 s"
    wait_for(lambda: re.search(restarted, repository.output()), "a restart")
    killed_after = int(re.search(restarted, repository.output())[1])
    wait_for(lambda: harness.newest_checkpoint(repository.output_dir) > killed_after, "a checkpoint of the second attempt")
    supervisor.send_signal(signal.SIGINT)
    code = supervisor.wait(harness.LONGEST_RUN_S)
    harness.expect(code == 85, f"run.sh ended with {code}: {repository.output()[-3000:]}")
    newest = harness.newest_checkpoint(repository.output_dir)
    expect_said(repository.output(), rf"after step {newest}: the same command with --resume_from_checkpoint auto goes on from "
                rf"checkpoint-{newest}", rf"run.sh: stopped by SIGINT; .* goes on from \S+/checkpoint-{newest}")
    repository.run(*arguments, "--resume_from_checkpoint", "auto", ranks=2, expected=0)
    expected.require_same(harness.Bits.of(repository.output_dir), "killed, restarted, interrupted and resumed")


def a_killed_mpirun_leaves_no_shared_memory(shop: harness.Workshop) -> None:
    """mpirun is killed, its ranks with it: what they leave is gone once run.sh has ended, and the training can go on at once."""
    backing = shop.scratch / "shm"
    backing.mkdir()
    repository = Repository(shop.scratch / "killed", shop.allreco)
    train = {"max_steps": 30, "save_steps": 5}
    command = shop.train_command(0, repository.output_dir, train)
    arguments = command[command.index("train") + 1:]
    environment = {"OMPI_MCA_btl_vader_backing_directory": str(backing)}
    supervisor = repository.start(*arguments, ranks=2, restarts=1, environment=environment)
    wait_for(lambda: harness.newest_checkpoint(repository.output_dir) >= 5, "a checkpoint")
    harness.expect(any(backing.iterdir()), "Open MPI puts nothing there: this test shows nothing")
    (mpirun,) = harness.children_of(supervisor.pid)
    os.kill(mpirun, signal.SIGKILL)
    code = supervisor.wait(harness.LONGEST_RUN_S)
    harness.expect(code == 0, f"run.sh ended with {code}: {repository.output()[-3000:]}")
    expect_said(repository.output(), r"exit code 137 \(attempt 1 of 2\); going on from")
    harness.expect(not list(backing.iterdir()), f"left behind: {list(backing.iterdir())}")


SCRIPTED = [without_restarts, restarts_from_the_newest_checkpoint, options_are_replaced_in_all_forms,
            no_restart_after_a_users_error_or_a_stop, what_is_no_file_is_not_waited_for, gives_up_without_progress,
            goes_on_while_there_is_progress_until_the_limit, an_older_run_to_be_overwritten_is_not_resumed,
            a_run_that_went_back_does_not_jump_forward, each_rank_gets_gpus_of_its_own,
            the_environment_reaches_other_hosts, signals_stop_it, a_killed_supervisor_leaves_no_training_behind,
            dead_shared_memory_is_cleared, restarts_are_for_training]


def work() -> None:
    program = pathlib.Path(__file__).resolve().parent / "scripted_allreco.sh"
    with harness.workshop(harness.parser(__doc__).parse_args()) as shop:
        for case in SCRIPTED:
            case(Repository(shop.scratch / case.__name__, program))
            print(f"{case.__name__}: as expected", flush=True)
        the_real_program_ends_with_the_same_bits(shop)
        print("the real program: the same bits", flush=True)
        a_killed_mpirun_leaves_no_shared_memory(shop)
        print("a killed mpirun: no shared memory is left", flush=True)


if __name__ == "__main__":
    harness.main(work)
