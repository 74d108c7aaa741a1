#!/usr/bin/env python3
"""How much of the gradients' communication hides behind backward, on a network that takes 20 ms for each bucket.

  bench/overlap.py --allreco build/release/allreco

Two ranks train SmolLM2-135M's shape (random weights, LoRA on all projections: one bucket a layer). The shim slow_mpi, loaded before MPI, lets no
bucket's sum end before its time: 20 ms after its start where buckets travel at once, 20 ms after the bucket before it where they queue.
communication_exposed_ms of metrics.jsonl, with overlap_grad_reduce and without; then without delay, the waiting that the two ranks' own speeds cause.
What fits behind backward: all but the last bucket, whose layer is the last to be computed. That holds while a layer's backward takes longer than the
latency; the command says so if it does not.
"""
import json
import pathlib
import random
import shutil
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/faults"))
import harness  # noqa: E402

MODEL, VOCABULARY, LAYERS = "random:smollm2-135m", 49152, 30
WARM_STEPS = 2


def make_dataset(shop: harness.Workshop, examples: int, tokens: int) -> pathlib.Path:
    draw = random.Random(1)
    rows = shop.scratch / "rows.jsonl"
    with rows.open("w") as file:
        for _ in range(examples):
            ids = [draw.randrange(VOCABULARY) for _ in range(tokens)]
            file.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    dataset = shop.scratch / "rows"
    run = shop.start([str(shop.allreco), "prepare", "--tokens", str(rows), "--vocab_size", str(VOCABULARY), "--output_dir", str(dataset)],
                     shop.scratch / "prepare.log")
    harness.expect(run.wait() == 0, run.output())
    return dataset


def measure(shop: harness.Workshop, options: dict, latency_ms: float, serial: bool) -> dict[str, float]:
    output_dir = shop.scratch / "run"
    shutil.rmtree(output_dir, ignore_errors=True)
    shim = {"LD_PRELOAD": shop.shim("slow_mpi"), "SLOW_MPI_LATENCY_MS": str(latency_ms), "SLOW_MPI_SERIAL": str(int(serial))}
    run = shop.start(shop.train_command(2, output_dir, options, shim), output_dir.with_suffix(".log"))
    harness.expect(run.wait(seconds=1200) == 0, run.output()[-3000:])
    lines = [line for line in harness.metrics(output_dir) if "step_ms" in line][WARM_STEPS:]
    return {key: statistics.median(line[key] for line in lines) for key in ("step_ms", "compute_ms", "communication_exposed_ms")}


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--latency_ms", type=float, default=20)
    options.add_argument("--steps", type=int, default=8)
    options.add_argument("--batch", type=int, default=4, help="examples of a rank and step")
    options.add_argument("--tokens", type=int, default=128, help="of an example")
    options = options.parse_args()
    options.deterministic = "false"
    with harness.workshop(options) as shop:
        train = {"model_name_or_path": MODEL, "dataset": make_dataset(shop, 64, options.tokens), "dtype": "float32", "lora_r": 64, "lora_dropout": 0,
                 "target_modules": "all-linear", "global_batch_size": 2 * options.batch, "per_device_train_batch_size": options.batch,
                 "max_steps": options.steps, "save_strategy": "no", "ddp_timeout": 600}
        hidden_enough = True
        for name, latency, serial in (("no delay", 0, False), ("each bucket takes the latency, all at once", options.latency_ms, False),
                                      ("each bucket takes the latency, one after the other", options.latency_ms, True)):
            off = measure(shop, {**train, "overlap_grad_reduce": "false"}, latency, serial)
            on = measure(shop, {**train, "overlap_grad_reduce": "true"}, latency, serial)
            exposed = off["communication_exposed_ms"], on["communication_exposed_ms"]
            text = f"{name}: exposed {exposed[0]:.0f} ms without overlap, {exposed[1]:.0f} ms with; step {off['step_ms']:.0f} and {on['step_ms']:.0f} ms"
            if serial:
                fits = exposed[0] - latency
                share = (exposed[0] - exposed[1]) / fits
                text += f"; {fits:.0f} ms fit behind backward, {share:.0%} of them are hidden"
                hidden_enough = share >= 0.8
                # Backward is at least half of the computation, since each of its layers does the work of the forward one and more.
                if off["compute_ms"] / 2 / LAYERS < latency:
                    text += " (a layer takes less than the latency: more tokens are needed)"
            print(text, flush=True)
        harness.expect(hidden_enough, "less than 80 % of what fits is hidden")


if __name__ == "__main__":
    harness.main(work)
