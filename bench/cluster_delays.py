#!/usr/bin/env python3
"""The model of the cluster (docs/cluster.md) against a slow network: step times predicted and measured at several latencies and bandwidths.

  bench/cluster_delays.py --allreco build/release/allreco [--latencies 5,20,80] [--bandwidths 20,100] [--algorithms ring,tree]

The shim slow_mpi, loaded before MPI, lets sums of 8 bytes or more end no earlier than a network of that latency (ms, of a sum) and bandwidth (MB/s) would.
alpha and beta come from `bench --collectives true` on the slow network, compute from `bench` without delays (its own process, in turns) or, second, from what
forward and backward took in the delayed run itself: on a busy machine a rank that waits much computes faster than one that never does, which is not the
network's doing. The step that they predict stands beside the measured one: the mean of the medians of --repeats runs. Without --model it is stories260k's shape with
LoRA large enough for three buckets. Ends with 1 when a step is further off than --tolerance, by the second.
"""
import dataclasses
import itertools
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/faults"), str(ROOT / "launch/scaling")]
import cluster_model  # noqa: E402
import harness  # noqa: E402
from links import Network  # noqa: E402
from overlap import SumCost, exposed_ms  # noqa: E402

RANKS = 2
MIN_DELAYED_BYTES = 8


def bench(shop: harness.Workshop, delays: dict, *options: str) -> dict:
    """Of the ranks; without delays the shim is loaded all the same."""
    output = shop.scratch / "bench.json"
    output.unlink(missing_ok=True)
    shim = {"LD_PRELOAD": shop.shim("slow_mpi"), "SLOW_MPI_MIN_BYTES": MIN_DELAYED_BYTES, **delays}
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(RANKS), "env", *(f"{key}={value}" for key, value in shim.items()),
               str(shop.allreco), "bench", "--threads", "1", "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=shop.environment(), check=False)
    harness.expect(done.returncode == 0, f"{options} ended with {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(output.read_text())


# So fast that nothing is left of it, for fits of cells without delays.
NO_DELAY = Network([{"plane": "MPI", "world_size": RANKS, "times": [{"operation": operation, "bytes": size, "us": 1e-3}
                                                                    for operation in ("all_reduce_sum", "tree_sum") for size in (8, 80)]}])


@dataclasses.dataclass(frozen=True)
class Case:
    algorithm: str  # ring or tree
    latency_ms: str
    mb_per_s: str
    serial: bool

    def delays(self) -> dict:
        return {"SLOW_MPI_LATENCY_MS": self.latency_ms, "SLOW_MPI_MB_PER_S": self.mb_per_s, "SLOW_MPI_SERIAL": int(self.serial)}

    def sums(self) -> list[str]:
        return ["--deterministic", str(self.algorithm == "tree").lower(), "--virtual_shards", str(RANKS)]


def own_compute_ms(result: dict) -> float:
    """Forward, loss head and backward, without what the step waits for; of the median step."""
    slowest = max(result["ranks"], key=lambda rank: rank["median_step_ms"])
    parts = result["parts_ms"]
    return (parts["forward"] + parts["loss_head"] + parts["backward"]) * slowest["median_step_ms"] / result["step_ms"]


def predicted_ms(computing: float, cell: cluster_model.Measured, network: Network, serial: bool) -> float:
    """The shim counts a sum's whole time from its start, so no look of the rank is needed between hops."""
    operation = cell.step.operation
    link = network.link(operation, RANKS)
    harness.expect(link.worst_error < 0.3, f"the network is not what it should be: {link}")
    latency_us = link.us(operation, RANKS, 0)
    cost = SumCost(1, latency_us / 1000, (link.us(operation, RANKS, 1e6) - latency_us) / 1e9)
    exposed = exposed_ms(list(cell.step.buckets), cell.backward_share * computing / cell.load.micro_batches, cell.step.num_layers, cost,
                         cell.step.overlap, on_stream=serial)
    return computing + cell.fixed_ms + exposed + network.us("all_reduce_sum", RANKS, cluster_model.AGREEMENT_BYTES) / 1000


def errors_of(shop: harness.Workshop, case: Case, network: Network, step: list[str], repeats: int) -> tuple[float, float]:
    """Relative, by either compute, with a line of the table. In turns, so that both see the machine as it is now."""
    undelayed, results = [], []
    for _ in range(repeats):
        undelayed.append(cluster_model.measured_of("", bench(shop, {}, *step, *case.sums())))
        results.append(bench(shop, case.delays(), *step, *case.sums()))
    measured = [cluster_model.measured_of("", result) for result in results]
    found = statistics.fmean(cell.step_ms for cell in measured)
    computes = [cluster_model.fit_compute(undelayed, NO_DELAY).compute_ms(measured[0].load), statistics.fmean(map(own_compute_ms, results))]
    predictions = [predicted_ms(compute, measured[0], network, case.serial) for compute in computes]
    name = case.algorithm + (", one after another" if case.serial else "")
    print(f"  {name:<22} {case.latency_ms:>6} {case.mb_per_s:>6} {found:>12.1f} "
          + " ".join(f"{compute:>12.1f} {predicted:>12.1f} {100 * (predicted / found - 1):>+7.1f} %" for compute, predicted in zip(computes, predictions)),
          flush=True)
    return tuple(predicted / found - 1 for predicted in predictions)


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--model", default="random:stories260k")
    options.add_argument("--latencies", default="5,20,80", help="ms")
    options.add_argument("--bandwidths", default="20,100", help="MB/s")
    options.add_argument("--algorithms", default="ring,tree")
    options.add_argument("--serial", default="0,1", help="1: one sum after another, as NCCL's stream; of the ring only")
    options.add_argument("--sequence_length", default="256")
    options.add_argument("--batch", default="8", help="examples of a rank")
    options.add_argument("--lora_r", default="128")
    options.add_argument("--steps", default="10")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--tolerance", type=float, default=0.1)
    options = options.parse_args()
    step = ["--model_name_or_path", options.model, "--sequence_length", options.sequence_length, "--per_device_train_batch_size", options.batch,
            "--lora_r", options.lora_r, "--target_modules", "all-linear", "--max_steps", options.steps]
    with harness.workshop(options) as shop:
        errors = []
        print(f"  {'algorithm':<22} {'ms':>6} {'MB/s':>6} {'measured ms':>12} {'compute ms':>12} {'predicted ms':>12} {'error':>9} {'own compute':>12} "
              f"{'predicted ms':>12} {'error':>9}", flush=True)
        for latency, bandwidth in itertools.product(options.latencies.split(","), options.bandwidths.split(",")):
            cases = [Case("ring", latency, bandwidth, serial == "1") for serial in options.serial.split(",")] + [Case("tree", latency, bandwidth, False)]
            network = Network([bench(shop, cases[0].delays(), "--collectives", "true")])
            errors += [errors_of(shop, case, network, step, options.repeats) for case in cases if case.algorithm in options.algorithms.split(",")]
        alone, worst = (max(abs(pair[i]) for pair in errors) for i in (0, 1))
        print(f"worst of {len(errors)}: {100 * alone:.1f} %, with the run's own compute {100 * worst:.1f} %")
        harness.expect(worst <= options.tolerance, f"a step is {100 * worst:.1f} % off, more than {100 * options.tolerance:.0f} %")


if __name__ == "__main__":
    harness.main(work)
