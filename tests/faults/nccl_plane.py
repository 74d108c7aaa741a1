#!/usr/bin/env python3
"""Whole trainings on the NCCL plane, over the double of tests/dist: with the bits of the MPI plane; and with a call to
NCCL that fails on rank 1, in start-up and inside backward: an error of the data plane must reach every rank at once and
as it is, end the run with code 1, and nothing may be asked of an aborted communicator (the double ends a process for it).

    tests/faults/nccl_plane.py --allreco build/release/allreco
"""
import shutil

import harness

STEPS = 4
LONGEST_S = 30  # far below ddp_timeout (60 s): no rank may have waited for it
# The calls to NCCL: 0 init, 1 to 5 a broadcast and four sums that warm it up, 6 to 8 the broadcasts of parameters and moments,
# then one sum a step, which starts when backward leaves the last layer.
INIT, WARM_UP, FIRST_SUM, LAST_SUM = 0, 2, 9, 9 + STEPS - 1


def train(shop: harness.Workshop, name: str, failing_call: int | None = None) -> harness.Run:
    output_dir = shop.scratch / name
    shutil.rmtree(output_dir, ignore_errors=True)
    program = shop.shims / "train_on_nccl_double"
    harness.expect(program.is_file(), f"there is no {program}: build the target {program.name}, or give --shims")
    arguments = [harness.MODEL, shop.dataset, output_dir, STEPS] + ([] if failing_call is None else [failing_call])
    run = shop.start(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", str(program), *map(str, arguments)],
                     shop.scratch / f"{name}.log")
    run.wait(LONGEST_S)
    return run


def expect_told_by_rank_one(shop: harness.Workshop, what: str, call: int, name: str) -> str:
    run = train(shop, "failing", call)
    output = run.output()
    harness.expect(run.process.returncode == 1, f"{what}: ended with {run.process.returncode}: {output[-3000:]}")
    harness.expect(f"rank 1: NCCL failed in {name}: scripted error of rank 1" in output, f"{what}: {output[-3000:]}")
    for rank in range(2):
        aborts = output.count(f"double: rank {rank} is aborted")
        harness.expect(aborts == 1, f"{what}: rank {rank} aborted {aborts} times: {output[-3000:]}")
    print(f"{what}: ended with 1, every rank was told", flush=True)
    return output


def work() -> None:
    options = harness.parser(__doc__).parse_args()
    options.deterministic = "false"
    with harness.workshop(options) as shop:
        expected = harness.reference(shop, 2, {"max_steps": STEPS})
        run = train(shop, "on_nccl")
        harness.expect(run.process.returncode == 0, f"on the NCCL plane: ended with {run.process.returncode}: {run.output()[-3000:]}")
        expected.require_same(harness.Bits.of(shop.scratch / "on_nccl"), "the NCCL plane beside the MPI plane")
        print("the NCCL plane gives the bits of the MPI plane", flush=True)
        expect_told_by_rank_one(shop, "a start that fails", INIT, "init")
        # Before the base is read, and so before the line that says what is trained.
        warming = expect_told_by_rank_one(shop, "a network that does not work", WARM_UP, "all_reduce_sum")
        harness.expect("LoRA parameters" not in warming, f"the network was tried after the model was loaded: {warming[-3000:]}")
        expect_told_by_rank_one(shop, "the first sum fails in backward", FIRST_SUM, "all_reduce_sum")
        expect_told_by_rank_one(shop, "the last sum fails in backward", LAST_SUM, "all_reduce_sum")


if __name__ == "__main__":
    harness.main(work)
