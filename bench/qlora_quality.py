#!/usr/bin/env python3
"""What 4 bits cost: LoRA and QLoRA (NF4 with double quantisation) trained alike for the same steps, and what an export makes of the latter.

  bench/qlora_quality.py --model examples/stories260k --dataset DS --steps 226 --seeds 1,2,3,42 --evaluate
  bench/qlora_quality.py --model SMOLLM2 --dataset TOKENS --steps 100 --dtype bfloat16

Prints the final loss of both, as the mean of the last ten steps (the batches are the same), and their ratio: one seed's last
steps are few examples, the mean over seeds says more. With --evaluate also, for the first seed, loss and accuracy on
the test split of: the base; base + LoRA; the NF4 base + its adapter; the latter exported from the dequantised base; and exported over the original base.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
NF4 = ["--load_in_4bit", "true", "--bnb_4bit_use_double_quant", "true"]
LAST = 10


def run(a, command, *options):
    done = subprocess.run([str(part) for part in (a.allreco, command, *options)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command} {' '.join(map(str, options))}: exit code {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def train(a, out, seed, *options):
    run(a, "train", "--model_name_or_path", a.model, "--dataset", a.dataset, "--output_dir", out, "--dtype", a.dtype, "--max_steps", a.steps,
        "--per_device_train_batch_size", a.batch, "--learning_rate", a.learning_rate, "--warmup_steps", 3, "--weight_decay", "1e-3", "--logging_steps", 1,
        "--save_strategy", "no", "--seed", seed, *options)
    losses = [line["loss"] for line in map(json.loads, (out / "metrics.jsonl").read_text().splitlines()) if "loss" in line]
    return sum(losses[-LAST:]) / len(losses[-LAST:])


def evaluate(a, out, model, *options):
    run(a, "evaluate", "--model_name_or_path", model, "--dataset", a.dataset, "--output_dir", out, "--split", "test", "--generate", "false", "--dtype", a.dtype, *options)
    return json.loads((out / "evaluation.json").read_text())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--allreco", default=ROOT / "build/release/allreco")
    p.add_argument("--model", required=True)
    p.add_argument("--dataset", required=True)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--learning-rate", default="1e-3")
    p.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[42], help="one training of each kind for each")
    p.add_argument("--evaluate", action="store_true")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        losses = []
        for seed in a.seeds:
            losses.append((train(a, work / f"lora-{seed}", seed), train(a, work / f"qlora-{seed}", seed, *NF4)))
            print(f"seed {seed}: {compared(losses[-1:])}", flush=True)
        print(f"{a.model} {a.dtype}, {a.steps} steps, mean of {len(losses)} seed(s): {compared(losses)}", flush=True)
        if not a.evaluate:
            return
        for name, base in (("dequantised", NF4), ("original", [])):
            run(a, "export", "--model_name_or_path", a.model, "--adapter_name_or_path", work / f"qlora-{a.seeds[0]}", "--output_dir", work / name, "--dtype", a.dtype,
                "--export_dtype", "bfloat16", *base)
        rows = {"base": (a.model,), "base in NF4": (a.model, *NF4), "base + LoRA": (a.model, "--adapter_name_or_path", work / f"lora-{a.seeds[0]}"),
                "NF4 base + QLoRA": (a.model, "--adapter_name_or_path", work / f"qlora-{a.seeds[0]}", *NF4),
                "export, bfloat16, of dequantised base + QLoRA": (work / "dequantised",), "export, bfloat16, of original base + QLoRA": (work / "original",)}
        for number, (name, arguments) in enumerate(rows.items()):
            print(f"{name:46} {summary(evaluate(a, work / f'evaluation-{number}', *arguments))}", flush=True)


def compared(losses):
    lora, qlora = (sum(side) / len(losses) for side in zip(*losses))
    return f"final loss LoRA {lora:.4f}, QLoRA {qlora:.4f}: {100 * (qlora / lora - 1):+.2f} %"


def summary(report):
    accuracy = report["candidates"]["scores"][report["candidates"]["headline"]]["accuracy"]
    low, high = accuracy["wilson_95"]
    return f"loss {report['loss']['mean_nll']:.4f}  accuracy {100 * accuracy['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    main()
