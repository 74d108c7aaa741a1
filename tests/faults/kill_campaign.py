#!/usr/bin/env python3
"""Kills a training again and again at random moments, resumes it each time on another number of ranks, and holds the
result against the same training left in peace: losses, weights and moments must be the same bits.

    tests/faults/kill_campaign.py --kills 200 --seed 1 --allreco build/release/allreco

Nothing is cleaned up by hand between a kill and the next start. Each training takes as many kills as it meets; then
the next begins in a new directory, until --kills are reached.

Why it ends: every round starts the program once and ends in a kill or in a training that is done. A training's first
round is killed while it starts, so there are no more finished trainings than kills and at most 2 x kills + 1 rounds.
More than that is a failure, and each round has a time limit.
"""
import collections
import pathlib
import random
import shutil
import signal
import time

import harness

PHASES = ["starting", "training", "saving"]
VICTIMS = ["one rank", "all ranks", "mpirun"]
ORPHANS_END_S = 20


class Campaign:
    def __init__(self, shop: harness.Workshop, options):
        self.shop = shop
        self.random = random.Random(options.seed)
        self.world_sizes = [int(size) for size in options.world_sizes.split(",")]
        self.train = {"max_steps": options.steps, "save_steps": 2, "save_total_limit": 3}
        self.num_kills = options.kills
        self.kills = collections.Counter()  # by (phase, victim)
        self.starts = collections.Counter()  # by world size
        self.rounds = 0
        self.resumed = 0

    def run(self) -> None:
        begin = time.monotonic()
        expected = harness.reference(self.shop, self.world_sizes[0], self.train)
        finished = 0
        while self.kills.total() < self.num_kills:
            output_dir = self.shop.scratch / f"run-{finished}"
            shutil.rmtree(output_dir, ignore_errors=True)
            before = self.kills.total()
            self.one_training(output_dir)
            expected.require_same(harness.Bits.of(output_dir), f"{output_dir.name} after {self.kills.total() - before} kills")
            strays = harness.stray_files(output_dir)
            harness.expect(not strays, f"{output_dir.name} is done, but these are left: {strays}")
            harness.require_only_whole_checkpoints(output_dir)
            finished += 1
            shutil.rmtree(output_dir)
        self.report(finished, time.monotonic() - begin)

    def one_training(self, output_dir: pathlib.Path) -> None:
        kills_here = 0
        while True:
            self.rounds += 1
            harness.expect(self.rounds <= 2 * self.num_kills + 1, "more rounds than the bound: the campaign makes no progress")
            before = harness.newest_checkpoint(output_dir)
            killed = self.one_round(output_dir, may_kill=self.kills.total() < self.num_kills, must_kill=kills_here == 0)
            harness.require_only_whole_checkpoints(output_dir)
            after = harness.newest_checkpoint(output_dir)
            harness.expect(after >= before, f"checkpoint-{before} was there before the round and only checkpoint-{after} after it")
            if not killed:
                return
            kills_here += 1

    def one_round(self, output_dir: pathlib.Path, may_kill: bool, must_kill: bool) -> bool:
        """Starts or resumes; whether a kill ended it, not its last step."""
        ranks = self.random.choice(self.world_sizes)
        self.starts[ranks] += 1
        phase = PHASES[0] if must_kill else self.random.choice(PHASES)
        victim = self.random.choice(VICTIMS)
        newest = harness.newest_checkpoint(output_dir)
        shim = self.aimed_at_a_save(newest, output_dir) if phase == "saving" and may_kill and victim == "one rank" else {}
        command = self.shop.train_command(ranks, output_dir, {**self.train, "resume_from_checkpoint": "auto"}, shim)
        run = self.shop.start(command, self.shop.scratch / f"{output_dir.name}.log")
        if may_kill and not shim and self.wait_for(phase, run, output_dir, newest):
            self.kill(run, victim)
        code = run.wait()
        if newest > 0:
            self.resumed += 1
        if code == 0:
            return False
        harness.expect(may_kill and self.died_of_a_kill(run, code, victim), f"a round ended with {code}, not by the kill of "
                       f"{victim} while {phase}: {run.output()[-3000:]}")
        self.kills[phase, victim] += 1
        self.require_no_orphans(run)
        return True

    def aimed_at_a_save(self, newest: int, output_dir: pathlib.Path) -> dict[str, str]:
        """Rank 0 dies inside one of the next two saves, at one of its calls; every fourth time in the middle of a write."""
        save = newest + 2 * self.random.randint(1, 2)
        action = self.random.choice(["kill", "kill", "kill", "kill_half"])
        number = self.random.randint(1, 40)
        return {"LD_PRELOAD": self.shop.shim("failing_files"), "FAILING_FILES_DIR": str(output_dir),
                "FAILING_FILES_SKIP": "metrics.jsonl,events.out", "FAILING_FILES_PLAN": f"{save}:{number}:{action}"}

    def wait_for(self, phase: str, run: harness.Run, output_dir: pathlib.Path, newest: int) -> bool:
        """Waits for a random moment of the phase; false when the program was faster."""
        pause = self.random.uniform(0, 0.03)
        if phase == "starting":
            pause = self.random.uniform(0, 0.5)
        elif phase == "training":
            target = newest + self.random.randint(1, 6)
            begun = run.wait_until(lambda: run.under_mpirun and newest < harness.last_step(output_dir) and
                                   harness.last_step(output_dir) >= target)
            if not begun:
                return False
        else:
            known = set(output_dir.glob("checkpoint-*.tmp"))
            saves = self.random.randint(1, 3)
            for _ in range(saves):
                if not run.wait_until(lambda: any(path not in known for path in output_dir.glob("checkpoint-*.tmp")), interval=0.0005):
                    return False
                known |= set(output_dir.glob("checkpoint-*.tmp"))
            pause = self.random.uniform(0, 0.01)
        time.sleep(pause)
        return run.poll() is None

    def kill(self, run: harness.Run, victim: str) -> None:
        ranks = run.ranks()
        if victim == "mpirun" or not ranks:  # not ranks: mpirun has not started them yet
            run.kill(run.process.pid)
        else:
            for rank in ranks if victim == "all ranks" else [self.random.choice(ranks)]:
                run.kill(rank)

    @staticmethod
    def died_of_a_kill(run: harness.Run, code: int, victim: str) -> bool:
        return code in (128 + signal.SIGKILL, signal.SIGKILL) or "signal 9 (Killed)" in run.output() or victim == "mpirun"

    def require_no_orphans(self, run: harness.Run) -> None:
        """A killed mpirun cannot end its ranks. The kernel ends those that have begun the program proper, at once; one that
        was still being loaded ends itself in MPI_Init, without having written anything, but on a busy machine not soon."""
        deadline = time.monotonic() + ORPHANS_END_S
        while alive := [rank for rank in run.seen if harness.is_alive(rank)]:
            if time.monotonic() > deadline:
                for rank in alive:
                    run.kill(rank)
                harness.fail(f"{ORPHANS_END_S} s after the kill {len(alive)} ranks still run")
            time.sleep(0.001)

    def report(self, finished: int, seconds: float) -> None:
        for phase in PHASES:
            of_phase = {victim: self.kills[phase, victim] for victim in VICTIMS}
            print(f"{phase:9} {sum(of_phase.values()):4} kills  " + "  ".join(f"{name}: {count}" for name, count in of_phase.items()))
        print("starts on " + ", ".join(f"{size} ranks: {self.starts[size]}" for size in self.world_sizes))
        print(f"{self.kills.total()} kills in {self.rounds} rounds ({self.resumed} resumed a checkpoint), {finished} trainings "
              f"finished, each with the bits of the undisturbed one; {seconds:.0f} s")


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--steps", type=int, default=40, help="steps of each training")
    options.add_argument("--world_sizes", default="1,2,4,8", help="a resumed run has one of these numbers of ranks")
    options = options.parse_args()
    with harness.workshop(options) as shop:
        Campaign(shop, options).run()


if __name__ == "__main__":
    harness.main(work)
