#!/usr/bin/env python3
"""launch/slurm.sbatch on a real SLURM of two nodes, under srun and under mpirun: a job that gets its warning signal, and
one that loses a node, requeue themselves, resume, and end with the bits of a training left in peace. A job that is asked to
end or cancelled, and one whose rank crashed on nodes that are well, do not come back.

    tests/slurm/requeue_test.py --allreco build/release/allreco

As root, with SLURM, munge and PMIx installed: launch/test.sh --slurm.
"""
import os
import re
import signal
import time

import cluster as slurm
import harness

# The cluster's GPUs are made up, and a job that has GPUs would insist on them.
TRAIN = {"max_steps": 60, "save_steps": 5, "global_batch_size": 16, "device": "cpu"}
GPUS_OF_THE_NODE = ["--gpus-per-node=2"]
GPUS_BOUND = ["--gpus-per-task=1", "--gpu-bind=single:1"]


def finish_and_compare(job: slurm.Job, expected: harness.Bits, requeued: str | None) -> None:
    """`requeued`: what requeues.log says of it; none: SLURM itself requeued the job. Now and then a rank of Open MPI 4.1.4 dies in
    MPI_Init here (its tcp transport calls a null pointer when a neighbour is faster): such a start comes on top."""
    harness.expect(job.wait_for_end() == ("COMPLETED", "0:0"), f"the job ended as {job.wait_for_end()}: {job.said()[-4000:]}")
    not_launched = [line for line in job.requeues() if line.endswith("not_launched")]
    restarts = str(1 + len(not_launched))
    harness.expect(job.field("Restarts") == restarts, f"{job.field('Restarts')} restarts, expected {restarts}: {job.said()[-4000:]}")
    said = [line for line in job.requeues() if line not in not_launched]
    harness.expect(not said if requeued is None else len(said) == 1 and re.search(requeued, said[0]) is not None,
                   f"requeues.log says {said}, expected {requeued}")
    starts = re.findall(r"start (\d), newest checkpoint: (\S+)", job.said())
    harness.expect(len(starts) == 2 + len(not_launched) and "checkpoint-" in starts[-1][1], f"the log has the starts {starts}")
    expected.require_same(harness.Bits.of(job.output_dir), job.output_dir.name)


def warned(cluster: slurm.Cluster, expected: harness.Bits, launcher: str, gpus: list[str]) -> None:
    job = slurm.Job(cluster, f"warned-{launcher}", launcher, gpus, TRAIN)
    job.wait_for_step(8)
    cluster.call("scancel", "--batch", "--signal=USR1", job.number)
    job.start_now()
    finish_and_compare(job, expected, r"exit_code=85 step=\d+ stopped$")


def node_lost(cluster: slurm.Cluster, expected: harness.Bits, launcher: str, gpus: list[str]) -> None:
    """mpirun notices at once, and the batch script finds the node lost. srun does not, and the other ranks wait for it: SLURM
    ends them once it has noticed by itself, which comes before ddp_timeout."""
    job = slurm.Job(cluster, f"node-lost-{launcher}", launcher, gpus, TRAIN)
    job.wait_for_step(8)
    cluster.lose("n2")
    job.wait_for(lambda: job.field("Restarts") == "1", "its requeue")
    cluster.bring_back("n2")
    job.start_now()
    finish_and_compare(job, expected, r"exit_code=\d+ step=\d+ lost n2$" if launcher == "mpirun" else None)


def asked_to_end(cluster: slurm.Cluster) -> None:
    job = slurm.Job(cluster, "asked-to-end", "srun", [], TRAIN)
    job.wait_for_step(3)
    cluster.call("scancel", "--batch", "--signal=TERM", job.number)
    ended = job.wait_for_end()
    harness.expect(ended == ("FAILED", "85:0") and not job.requeues(), f"it ended as {ended} with {job.requeues()}: {job.said()[-4000:]}")
    harness.expect(harness.newest_checkpoint(job.output_dir) >= 3, "it ended without saving")


def cancelled(cluster: slurm.Cluster, launcher: str) -> None:
    job = slurm.Job(cluster, f"cancelled-{launcher}", launcher, [], TRAIN)
    job.wait_for_step(3)
    cluster.call("scancel", job.number)
    state, _ = job.wait_for_end()
    # The batch script may still be at work: its last line comes when all is decided.
    job.wait_for(lambda: "train ended with" in job.said() or "CANCELLED" in job.said(), "the batch script's end")
    time.sleep(2)
    harness.expect(state == job.field("JobState") == "CANCELLED" and job.field("Restarts") == "0" and not job.requeues(),
                   f"it ended as {state}, is {job.field('JobState')}, restarts {job.field('Restarts')}, {job.requeues()}: {job.said()[-4000:]}")


def crashed(cluster: slurm.Cluster) -> None:
    job = slurm.Job(cluster, "crashed", "srun", GPUS_OF_THE_NODE, TRAIN)
    job.wait_for_step(3)
    ranks = [pid for pid in cluster.processes_of("n2") if os.path.realpath(f"/proc/{pid}/exe") == f"{cluster.shop.allreco}-program"]
    os.kill(ranks[0], signal.SIGKILL)
    state, code = job.wait_for_end()
    harness.expect(state == "FAILED" and code not in ("0:0", "85:0") and not job.requeues(),
                   f"it ended as {state} {code} with {job.requeues()}: {job.said()[-4000:]}")


def work() -> None:
    options = harness.parser(__doc__).parse_args()
    with harness.workshop(options) as shop:
        expected = harness.reference(shop, 2, TRAIN)
        with slurm.Cluster(shop.scratch / "cluster", shop) as cluster:
            for case, *arguments in [(warned, expected, "srun", GPUS_OF_THE_NODE), (warned, expected, "mpirun", GPUS_OF_THE_NODE),
                                     (node_lost, expected, "srun", GPUS_BOUND), (node_lost, expected, "mpirun", []),
                                     (asked_to_end,), (cancelled, "srun"), (cancelled, "mpirun"), (crashed,)]:
                begin = time.monotonic()
                case(cluster, *arguments)
                what = " ".join([case.__name__, *(argument for argument in arguments if isinstance(argument, str))])
                print(f"{what}: as expected, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    harness.main(work)
