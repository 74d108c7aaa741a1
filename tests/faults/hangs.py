#!/usr/bin/env python3
"""Makes one rank of three hang on purpose, through the real program: stopped (SIGSTOP) in forward, stopped after it has
started a sum, stopped in a save, and with a save whose file call never returns. Each run must end soon after
ddp_timeout with a code other than 0, and with a message that names that rank, its host, the step and the phase.

    tests/faults/hangs.py --allreco build/release/allreco
"""
import re
import shutil
import time

import harness

TIMEOUT_S = 2
# The timeout, a grace of 0.5 s to answer, start and end of the program, all on a machine that may be shared.
LONGEST_S = TIMEOUT_S + 20


def expect_named(shop: harness.Workshop, what: str, options: dict, shim: dict, rank: int, step: str, phase: str) -> None:
    output_dir = shop.scratch / "run"
    shutil.rmtree(output_dir, ignore_errors=True)
    options = {"max_steps": 60, "ddp_timeout": TIMEOUT_S, "deterministic": "false", **options}
    begin = time.monotonic()
    run = shop.start(shop.train_command(3, output_dir, options, shim), shop.scratch / "run.log")
    code = run.wait(LONGEST_S)
    run.kill_all()
    harness.expect(code not in (0, 2, 85), f"{what}: ended with {code}: {run.output()[-2000:]}")
    # Two ranks wait; whoever speaks must name the third.
    pattern = rf"waited longer than {TIMEOUT_S} s: 1 of 3 ranks missing; rank {rank} on \S+ .* step {step}, phase {phase}"
    said = [line for line in run.output().splitlines() if re.search(pattern, line)]
    harness.expect(bool(said), f"{what}: no line matches {pattern}: {run.output()[-3000:]}")
    print(f"{what}: ended with {code} after {time.monotonic() - begin:.1f} s: ...{said[0][said[0].index('1 of 3'):][:140]}", flush=True)


def work() -> None:
    options = harness.parser(__doc__).parse_args()
    with harness.workshop(options) as shop:
        mpi = {"LD_PRELOAD": shop.shim("slow_mpi"), "SLOW_MPI_MIN_BYTES": "1024"}
        no_saves = {"save_strategy": "no"}
        expect_named(shop, "rank 1 stopped in forward", no_saves, {**mpi, "SLOW_MPI_FAULT": "1:forward and backward:5:stop"},
                     1, r"\d+", "forward and backward")
        # The sum of a layer starts while backward still runs, and that is the phase that the others know of.
        expect_named(shop, "rank 1 stopped in a sum", no_saves, {**mpi, "SLOW_MPI_FAULT": "1:all_reduce:5:stop"},
                     1, "5", "(forward and backward|summing gradients)")
        saves = {"LD_PRELOAD": shop.shim("failing_files"), "FAILING_FILES_SKIP": "metrics.jsonl,events.out",
                 "FAILING_FILES_DIR": str(shop.scratch / "run")}
        # The whole process stops, wherever its main thread is by then.
        expect_named(shop, "rank 0 stopped in a save", {"save_steps": 2}, {**saves, "FAILING_FILES_PLAN": "4:7:stop"},
                     0, r"\d+", ".*")
        # Only the saving thread hangs: training goes on until so many saves wait that the next one must.
        expect_named(shop, "a save of rank 0 that never ends", {"save_steps": 2}, {**saves, "FAILING_FILES_PLAN": "4:7:hang"},
                     0, r"\d+", "saving a checkpoint")


if __name__ == "__main__":
    harness.main(work)
