#!/usr/bin/env python3
"""launch/run.sh stays with a training: it starts it again after a fault, from the newest checkpoint, and turns stop signals into
the one that ranks understand. Most cases run a stand-in for the program, which does what its script says; the last ones the
program itself, killed and interrupted.

    tests/launch/restarts.py --allreco build/release/allreco
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/faults"))
import harness  # noqa: E402

# One line of `plan` is one attempt: exit code, step of the checkpoint it leaves (0: none), whether it opens the directory.
STAND_IN = """#!/bin/bash
here="$(dirname "$0")"
echo "$*" >> "$here/calls"
read -r code step opens < <(sed -n "$(wc -l < "$here/calls")p" "$here/plan")
if [[ "$opens" == opens ]]; then
  mkdir -p "$here/out"
  echo "$*" > "$here/out/config.cfg.new" && mv "$here/out/config.cfg.new" "$here/out/config.cfg"
fi
if ((step > 0)); then mkdir -p "$here/out/checkpoint-$step"; fi
exit "$code"
"""


class Launch:
    """A copy of launch/ whose build/release/allreco is the stand-in or the program."""

    def __init__(self, shop: harness.Workshop, name: str):
        self.root = shop.scratch / name
        self.build = self.root / "build/release"
        self.out = self.build / "out"
        self.shop = shop
        shutil.copytree(ROOT / "launch", self.root / "launch")
        self.build.mkdir(parents=True)

    def stand_in(self, plan: list[str]) -> "Launch":
        program = self.build / "allreco"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        (self.build / "plan").write_text("\n".join(plan) + "\n")
        return self

    def program(self) -> "Launch":
        (self.build / "allreco").symlink_to(self.shop.allreco)
        return self

    def command(self, ranks: int, max_restarts: int, arguments: list[str]) -> list[str]:
        return ["bash", str(self.root / "launch/run.sh"), "-n", str(ranks), "--threads", "1", "--max-restarts", str(max_restarts),
                "--restart-delay", "0", "--", "train", *map(str, arguments)]

    def run(self, max_restarts: int, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(1, max_restarts, list(arguments)), capture_output=True, text=True, env=self.shop.environment(),
                              timeout=harness.LONGEST_RUN_S)

    def calls(self) -> list[str]:
        return (self.build / "calls").read_text().splitlines()


def expect_calls(what: str, launch: Launch, done: subprocess.CompletedProcess, code: int, calls: list[str]) -> None:
    harness.expect(done.returncode == code, f"{what}: ended with {done.returncode}, expected {code}: {done.stderr}")
    harness.expect(launch.calls() == calls, f"{what}: the program was called with {launch.calls()}, expected {calls}")
    print(f"{what}: {len(calls)} attempt(s), exit code {code}", flush=True)


def stand_ins(shop: harness.Workshop) -> None:
    def case(name: str, plan: list[str], max_restarts: int, arguments: list[str], code: int, calls: list[str]) -> None:
        launch = Launch(shop, f"stand-in-{len(list(shop.scratch.glob('stand-in-*')))}").stand_in(plan)
        out = str(launch.out)
        done = launch.run(max_restarts, *[argument.replace("OUT", out) for argument in arguments])
        expect_calls(name, launch, done, code, [call.replace("OUT", out) for call in calls])

    again = "--resume_from_checkpoint auto --overwrite_output_dir false"
    case("a run without a fault", ["0 5 opens"], 3, ["--output_dir", "OUT"], 0, ["train --output_dir OUT"])
    case("a fault, then the end", ["1 5 opens", "0 9 opens"], 3, ["--output_dir", "OUT"], 0,
         ["train --output_dir OUT", f"train --output_dir OUT {again}"])
    case("no restarts asked for", ["7 5 opens"], 0, ["--output_dir", "OUT"], 7, ["train --output_dir OUT"])
    case("more faults than restarts", ["7 1 opens", "8 2 opens", "9 3 opens"], 2, ["--output_dir=OUT"], 9,
         ["train --output_dir=OUT", *2 * [f"train --output_dir=OUT {again}"]])
    case("a mistake in the options", ["2 0 -"], 3, ["--output_dir", "OUT"], 2, ["train --output_dir OUT"])
    case("a mistake after a fault", ["1 5 opens", "2 0 -"], 3, ["--output_dir", "OUT"], 2,
         ["train --output_dir OUT", f"train --output_dir OUT {again}"])
    case("stopped by a signal that ranks got from elsewhere", ["85 5 opens"], 3, ["--output_dir", "OUT"], 85, ["train --output_dir OUT"])
    case("three faults at one place", ["1 5 opens", "1 5 opens", "1 5 opens", "0 6 opens"], 9, ["--output_dir", "OUT"], 1,
         ["train --output_dir OUT", *2 * [f"train --output_dir OUT {again}"]])
    case("five faults, each further on", [f"1 {n} opens" for n in range(1, 6)] + ["0 9 opens"], 9, ["--output_dir", "OUT"], 0,
         ["train --output_dir OUT", *5 * [f"train --output_dir OUT {again}"]])
    case("its own ways to start are replaced", ["1 5 opens", "0 9 opens"], 1,
         ["--overwrite_output_dir=true", "--output_dir", "OUT", "--resume_from_checkpoint", "last", "--seed", "3"], 0,
         ["train --overwrite_output_dir=true --output_dir OUT --resume_from_checkpoint last --seed 3",
          f"train --output_dir OUT --seed 3 {again}"])
    case("a fault before the directory was opened", ["1 0 -", "0 9 opens"], 1, ["--overwrite_output_dir", "true", "--output_dir", "OUT"], 0,
         2 * ["train --overwrite_output_dir true --output_dir OUT"])
    case("begun elsewhere, nothing saved yet", ["1 0 opens"], 3, ["--output_dir", "OUT", "--resume_from_checkpoint", "/other/checkpoint-5"], 1,
         ["train --output_dir OUT --resume_from_checkpoint /other/checkpoint-5"])
    config = shop.scratch / "options.cfg"
    config.write_text(f"seed = 1\n output_dir = {shop.scratch}/stand-in-{len(list(shop.scratch.glob('stand-in-*')))}/build/release/out  # here\n")
    case("the directory from a config file", ["1 5 opens", "0 9 opens"], 1, ["--config", str(config)], 0,
         [f"train --config {config}", f"train --config {config} {again}"])
    launch = Launch(shop, "not-train").stand_in(["0 0 -"])
    done = subprocess.run([*launch.command(1, 1, [])[:-1], "prepare"], capture_output=True, text=True, env=shop.environment())
    harness.expect(done.returncode == 2 and "--max-restarts is for train" in done.stderr, f"restarts of prepare: {done.stderr}")


def options_of(shop: harness.Workshop, output_dir: pathlib.Path, steps: int) -> list[str]:
    command = shop.train_command(0, output_dir, {"max_steps": steps, "save_steps": 5})
    return command[command.index("train") + 1:]


class RealRun(harness.Run):
    """run.sh with the program: mpirun is its child, the ranks are mpirun's."""

    def ranks(self) -> list[int]:
        mpirun = [pid for pid in harness.children_of(self.process.pid) if name_of(pid) in ("mpirun", "orterun")]
        found = sorted(child for pid in mpirun for child in harness.children_of(pid) if name_of(child) == "allreco")
        self.seen.update([*mpirun, *found])
        return found


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def start(launch: Launch, shop: harness.Workshop, max_restarts: int, output_dir: pathlib.Path, steps: int, *more: str) -> RealRun:
    command = launch.command(2, max_restarts, [*options_of(shop, output_dir, steps), *more])
    return RealRun(command, output_dir.with_suffix(".log"), shop.environment())


def killed_rank(launch: Launch, shop: harness.Workshop, expected: harness.Bits, steps: int) -> None:
    output_dir = shop.scratch / "killed"
    run = start(launch, shop, 2, output_dir, steps)
    harness.expect(run.wait_until(lambda: harness.newest_checkpoint(output_dir) >= 5 and bool(run.ranks())), run.output()[-2000:])
    run.kill(run.ranks()[-1])
    code = run.wait()
    harness.expect(code == 0, f"killed rank: ended with {code}: {run.output()[-3000:]}")
    harness.expect("restart 1 of 2" in run.output(), f"killed rank: {run.output()[-3000:]}")
    expected.require_same(harness.Bits.of(output_dir), "killed rank")
    print("a rank killed: started again once, with the bits of an undisturbed run", flush=True)


def interrupted(launch: Launch, shop: harness.Workshop, expected: harness.Bits, steps: int, number: signal.Signals) -> None:
    """The signal reaches run.sh, a second one soon after."""
    output_dir = shop.scratch / number.name
    run = start(launch, shop, 2, output_dir, 10 ** 6)
    harness.expect(run.wait_until(lambda: harness.last_step(output_dir) >= 3), run.output()[-2000:])
    os.kill(run.process.pid, number)
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.process.pid, number)
    code = run.wait()
    harness.expect(code == 85, f"{number.name}: ended with {code}: {run.output()[-3000:]}")
    harness.expect("--resume_from_checkpoint auto goes on" in run.output(), f"{number.name}: no word about resuming: {run.output()[-3000:]}")
    newest = harness.newest_checkpoint(output_dir)
    harness.expect(newest == harness.last_step(output_dir) > 0, f"{number.name}: checkpoint-{newest} is not the last step")
    harness.require_only_whole_checkpoints(output_dir)
    print(f"{number.name} twice: saved at step {newest}, exit code 85", flush=True)


def supervisor_killed(launch: Launch, shop: harness.Workshop) -> None:
    output_dir = shop.scratch / "supervisor"
    run = start(launch, shop, 2, output_dir, 10 ** 6)
    harness.expect(run.wait_until(lambda: harness.last_step(output_dir) >= 3), run.output()[-2000:])
    run.kill(run.process.pid)
    run.process.wait()
    harness.expect(wait_for_end(run.seen), "the training outlived run.sh")
    harness.require_only_whole_checkpoints(output_dir)
    harness.expect(harness.newest_checkpoint(output_dir) == harness.last_step(output_dir), "run.sh killed: the last step was not saved")
    print("run.sh killed: the training saved and ended", flush=True)


def wait_for_end(pids: set[int]) -> bool:
    deadline = time.monotonic() + harness.LONGEST_RUN_S
    while any(harness.is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def work() -> None:
    options = harness.parser(__doc__).parse_args()
    with harness.workshop(options) as shop:
        stand_ins(shop)
        steps = 40
        expected = harness.reference(shop, 2, {"max_steps": steps, "save_steps": 5})
        launch = Launch(shop, "program").program()
        killed_rank(launch, shop, expected, steps)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            interrupted(launch, shop, expected, steps, number)
        supervisor_killed(launch, shop)


if __name__ == "__main__":
    harness.main(work)
