#!/usr/bin/env python3
"""A program whose session cannot start, here since MPI refuses what it needs, ends with the code of a fault (1) and says
why. That code lets run.sh and slurm.sbatch try again; 2 would tell them that no restart helps.

    tests/faults/failing_start.py --allreco build/release/allreco
"""
import harness


def work() -> None:
    options = harness.parser(__doc__).parse_args()
    with harness.workshop(options) as shop:
        run = shop.train(2, shop.scratch / "run", {}, {"LD_PRELOAD": shop.shim("slow_mpi"), "SLOW_MPI_THREADS": "none"})
        code, output = run.process.returncode, run.output()
        harness.expect(code == 1, f"ended with {code}, expected 1: {output[-3000:]}")
        harness.expect("this MPI library gives no MPI_THREAD_FUNNELED" in output, f"does not say why: {output[-3000:]}")
        print("a start that fails ends with code 1")


if __name__ == "__main__":
    harness.main(work)
