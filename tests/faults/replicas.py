#!/usr/bin/env python3
"""Changes one bit of a gradient that rank 1 of three gets, as a fault of its memory would: nobody waits, nothing fails, and the
ranks would go on with different adapters. The next comparison of the replicas must end the run with code 1, naming the rank.

    tests/faults/replicas.py --allreco build/release/allreco
"""
import re

import harness

STEPS = 12


def train(shop: harness.Workshop, name: str, options: dict, shim: dict | None = None) -> harness.Run:
    return shop.train(3, shop.scratch / name, {"max_steps": STEPS, "save_strategy": "no", "deterministic": "false", **options}, shim)


def work() -> None:
    with harness.workshop(harness.parser(__doc__).parse_args()) as shop:
        flip = {"LD_PRELOAD": shop.shim("slow_mpi"), "SLOW_MPI_MIN_BYTES": "1024", "SLOW_MPI_FAULT": "1:all_reduce:5:flip"}
        healthy = train(shop, "healthy", {"replica_check_steps": 3})
        harness.expect(healthy.process.returncode == 0, f"without a fault: ended with {healthy.process.returncode}: {healthy.output()}")
        run = train(shop, "flipped", {"replica_check_steps": 3}, flip)
        said = re.search(r"after step 6 .* not the same on all ranks: rank 1 on \S+ differs .*since step 3 ", run.output())
        harness.expect(run.process.returncode == 1 and said is not None,
                       f"a flipped bit in step 5: ended with {run.process.returncode}: {run.output()[-3000:]}")
        print(f"a flipped bit in step 5 ended the run with 1: {said[0]}", flush=True)
        unseen = train(shop, "unseen", {"replica_check_steps": 0}, flip)
        harness.expect(unseen.process.returncode == 0, f"without the check the run goes on, it ended with {unseen.process.returncode}")
        print("without the check nobody notices", flush=True)


if __name__ == "__main__":
    harness.main(work)
