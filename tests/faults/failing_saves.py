#!/usr/bin/env python3
"""Lets every file system call of a save fail, one after the other, with each errno and with short writes.

Training must go on to its end with exit code 0 and the bits of an undisturbed run; the save that failed is reported and
counted, nothing half-written stays, and the last checkpoint is whole. One run carries one failure in each of its saves.

    tests/faults/failing_saves.py --allreco build/release/allreco              every call of a save
    tests/faults/failing_saves.py --allreco build/release/allreco --every 3    calls 1, 4, 7, ...
"""
import json
import shutil

import harness

ERRNOS = ["ENOSPC", "EIO", "EACCES", "ENOSPC+", "short"]
SAVES = 12  # of a run; the last one is left alone, so that the run can end well
TRAIN = {"max_steps": SAVES, "save_steps": 1, "save_total_limit": 2}


class Failures:
    def __init__(self, shop: harness.Workshop, every: int):
        self.shop = shop
        self.output_dir = shop.scratch / "run"
        self.expected = harness.reference(shop, 0, TRAIN)
        self.num_calls = self.count_calls()
        self.numbers = range(1, self.num_calls + 1, every)

    def train(self, environment: dict[str, str]) -> harness.Run:
        shutil.rmtree(self.output_dir, ignore_errors=True)
        shim = {"LD_PRELOAD": self.shop.shim("failing_files"), "FAILING_FILES_DIR": str(self.output_dir),
                "FAILING_FILES_SKIP": "metrics.jsonl,events.out", **environment}
        return self.shop.train(0, self.output_dir, TRAIN, shim)

    def count_calls(self) -> int:
        """Of one save in the middle of a run, the deletion of an old checkpoint among them."""
        report = self.shop.scratch / "calls"
        run = self.train({"FAILING_FILES_REPORT": str(report)})
        harness.expect(run.process.returncode == 0, f"the counting run failed: {run.output()[-2000:]}")
        numbers = [int(line.split()[1]) for line in report.read_text().splitlines() if line.split()[0] == str(SAVES // 2)]
        harness.expect(len(numbers) > 10, f"a save makes {len(numbers)} calls: the shim does not see them")
        return max(numbers)

    def run(self) -> None:
        for errno in ERRNOS:
            failed = runs = 0
            for first in range(0, len(self.numbers), SAVES - 1):
                numbers = self.numbers[first:first + SAVES - 1]
                failed += self.one_run(errno, {save + 1: number for save, number in enumerate(numbers)})
                runs += 1
            print(f"{errno:8} at {len(self.numbers)} of {self.num_calls} calls: {failed} saves failed and were reported, "
                  f"{runs} trainings ended with the right bits", flush=True)
            harness.expect((failed > len(self.numbers) // 2) == (errno != "short"),
                           f"{errno}: {failed} of {len(self.numbers)} saves failed")

    def one_run(self, errno: str, plan: dict[int, int]) -> int:
        text = ",".join(f"{save}:{number}:{errno}" for save, number in plan.items())
        run = self.train({"FAILING_FILES_PLAN": text})
        harness.expect(run.process.returncode == 0, f"plan {text}: ended with {run.process.returncode}: {run.output()[-3000:]}")
        self.expected.require_same(harness.Bits.of(self.output_dir), f"plan {text}")
        harness.require_only_whole_checkpoints(self.output_dir)
        harness.expect(harness.newest_checkpoint(self.output_dir) == SAVES, f"plan {text}: the last checkpoint is missing")
        strays = [name for name in harness.stray_files(self.output_dir)]
        harness.expect(not strays, f"plan {text}: these are left: {strays}")
        reported = run.output().count("tries again at the next save")
        counted = json.loads((self.output_dir / "train_results.json").read_text())["failed_saves"]
        harness.expect(reported == counted, f"plan {text}: {reported} failures reported, {counted} counted")
        return counted


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--every", type=int, default=1, help="only every so many calls")
    options = options.parse_args()
    with harness.workshop(options) as shop:
        Failures(shop, options.every).run()


if __name__ == "__main__":
    harness.main(work)
