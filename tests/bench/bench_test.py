#!/usr/bin/env python3
"""`allreco bench` as users call it: that its step is the trainer's (the same losses as `train`, bit by bit), that its parts and kinds add
up, its arithmetic by a formula of this test's own, and the data plane's figures by nccl-tests' definitions.

    tests/bench/bench_test.py --allreco build/release/allreco
"""
import json
import math
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import harness  # noqa: E402

MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n"]

OTHER_KERNELS_BYTES = 32 << 20


def bench(shop: harness.Workshop, ranks: int, *options: str, code: int = 0) -> tuple[dict, str]:
    output = shop.scratch / "bench.json"
    output.unlink(missing_ok=True)
    launcher = [] if ranks == 0 else [*MPIRUN, str(ranks)]
    run = subprocess.run([*launcher, str(shop.allreco), "bench", "--threads", "1", "--output", str(output), *options], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=shop.environment())
    harness.expect(run.returncode == code, f"bench {options} ended with {run.returncode}: {run.stderr[-3000:]}")
    return (json.loads(output.read_text()) if output.exists() else {}), run.stdout if code == 0 else run.stderr


def near(found: float, expected: float, relative: float) -> bool:
    return math.isclose(found, expected, rel_tol=relative)


def flop_by_hand(config: dict, tokens: int, length: int, supervised: int, r: int) -> float:
    """LoRA on the default targets, no window; frozen weights have a forward product and one for their input's gradient."""
    d, f, h, k, e = (config[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim"))
    shapes = [(d, h * e), (d, k * e), (d, k * e), (h * e, d), (d, f), (d, f), (f, d)]
    layers = config["num_hidden_layers"]
    frozen, learned = sum(a * b for a, b in shapes), sum(r * (a + b) for a, b in shapes)
    pairs = tokens / length * length * (length + 1) / 2
    return layers * (4 * tokens * frozen + 6 * tokens * learned + 12 * h * e * pairs) + 4 * supervised * config["vocab_size"] * d


def adds_up(shop: harness.Workshop) -> None:
    options = ["--model_name_or_path", "random:stories260k", "--sequence_length", "64", "--per_device_train_batch_size", "3", "--max_steps", "4",
               "--warmup_steps", "1", "--lora_r", "4", "--target_modules", "all-linear"]
    for ranks in (0, 2):
        result, text = bench(shop, ranks, *options)
        world = max(ranks, 1)
        tokens = 64 * 3 * world * 4
        harness.expect(result["world_size"] == world and result["tokens"] == tokens, f"{ranks} ranks: {result['tokens']} tokens, expected {tokens}")
        harness.expect(near(result["tokens_per_second"], tokens / result["seconds"], 1e-9), "tokens/s are not tokens over seconds")
        harness.expect(f"{result['tokens_per_second']:.0f} tokens/s" in text, f"the table says otherwise: {text}")
        by_hand = flop_by_hand(result["model"]["config"], tokens, 64, tokens // 64 * 63, 4)
        harness.expect(near(result["flop"]["total"], by_hand, 1e-12), f"FLOP {result['flop']['total']}, by hand {by_hand}")
        harness.expect(near(result["flop"]["share_of_peak"] * result["flop"]["peak_per_second"] * result["seconds"], by_hand, 1e-9), "share of peak")
        for rank in result["ranks"]:
            # No part but idle is a difference, so the others lie within the step.
            harness.expect(near(sum(rank["parts_ms"].values()), rank["step_ms"], 1e-6) and min(rank["parts_ms"].values()) >= 0,
                           f"parts {rank['parts_ms']} of a step of {rank['step_ms']} ms")
            harness.expect(rank["parts_ms"]["forward"] > 0 and rank["parts_ms"]["backward"] > 0, f"{rank['parts_ms']}")
            kinds = dict(rank["memory_bytes"])
            peak = kinds.pop("peak")
            harness.expect(sum(kinds.values()) == peak and min(kinds.values()) >= 0, f"memory {rank['memory_bytes']}")
        parameters = result["model"]["lora_parameters"]
        # One of all layers, since they have less than 1 MiB: 15 KB each.
        harness.expect(result["gradients"] == {"operation": "all_reduce_sum", "overlap": True,
                                               "buckets": [{"bytes": 4 * parameters, "layers_done": 5}]}, f"{result['gradients']}")
        harness.expect([rank["micro_batches"] for rank in result["ranks"]] == [4] * world, f"{result['ranks']}")
        # float32 parameters, gradients and two moments: 16 bytes each; no compute copy in float32.
        harness.expect(result["ranks"][0]["memory_bytes"]["lora_state"] == 16 * parameters, f"{result['ranks'][0]['memory_bytes']}, {parameters}")


def is_the_trainers_step(shop: harness.Workshop) -> None:
    common = ["--dataset", str(shop.dataset), "--per_device_train_batch_size", "4", "--lora_r", "2", "--learning_rate", "1e-3", "--seed", "7",
              "--deterministic", "true", "--virtual_shards", "2", "--model_name_or_path", str(harness.MODEL)]
    result, _ = bench(shop, 2, *common, "--max_steps", "4", "--warmup_steps", "2")
    run = subprocess.run([*MPIRUN, "2", str(shop.allreco), "train", "--threads", "1", *common, "--max_steps", "6", "--logging_steps", "1",
                          "--lr_scheduler_type", "constant", "--save_strategy", "no", "--output_dir", str(shop.scratch / "trained")],
                         capture_output=True, text=True, env=shop.environment())
    harness.expect(run.returncode == 0, f"train: {run.stderr[-2000:]}")
    losses = [line["loss"] for line in harness.metrics(shop.scratch / "trained") if "loss" in line]
    harness.expect(len(losses) == 6 and result["losses"] == losses, f"bench: {result['losses']}, train: {losses}")


def buckets_are_those_of_the_cluster_model(shop: harness.Workshop) -> None:
    """launch/scaling/overlap.py puts them together by itself, from each layer's LoRA parameters."""
    sys.path.insert(0, str(harness.ROOT / "launch/scaling"))
    import overlap
    for r in (40, 128, 300):
        result, _ = bench(shop, 0, "--model_name_or_path", "random:stories260k", "--sequence_length", "16", "--per_device_train_batch_size", "5", "--max_steps",
                          "1", "--gradient_accumulation_steps", "2", "--lora_r", str(r), "--target_modules", "all-linear", "--deterministic", "true",
                          "--virtual_shards", "2")
        parameters = r * (2 * 128 + 2 * 96 + 3 * 236)  # q and o, k and v, gate and up and down
        wanted = [{"bytes": b.num_bytes, "layers_done": b.layers_done} for b in overlap.buckets_of_layers([4 * parameters] * 5)]
        harness.expect(result["gradients"]["buckets"] == wanted and result["gradients"]["operation"] == "tree_sum", f"{result['gradients']}, {wanted}")
        harness.expect(result["ranks"][0]["micro_batches"] == 2, f"{result['ranks'][0]['micro_batches']} micro-batches")


def checkpointing_trades_memory_for_time(shop: harness.Workshop) -> None:
    options = ["--model_name_or_path", "random:stories260k", "--sequence_length", "256", "--per_device_train_batch_size", "4", "--max_steps", "2"]
    plain, _ = bench(shop, 0, *options)
    spared, _ = bench(shop, 0, *options, "--gradient_checkpointing", "true")
    kept = [result["ranks"][0]["memory_bytes"]["activations"] for result in (plain, spared)]
    harness.expect(kept[1] < kept[0] / 2, f"activations {kept[0]} bytes, with checkpointing {kept[1]}")


def the_plan_is_what_it_takes(shop: harness.Workshop) -> None:
    golden = harness.ROOT / "tests/fixtures/golden"
    shapes = [("random:stories260k", 384, 8), (str(golden / "gemma3-tiny"), 24, 2), (str(golden / "qwen3-tiny"), 24, 2)]
    variants = [["--gradient_checkpointing", "true"], ["--dtype", "bfloat16"], ["--load_in_4bit", "true", "--optim", "adamw_8bit"],
                ["--dtype", "bfloat16", "--load_in_4bit", "true", "--gradient_checkpointing", "true"],
                ["--use_dora", "true", "--target_modules", "q_proj,down_proj"]]
    for model, length, batch in shapes:
        for variant in variants:
            options = ["--model_name_or_path", model, "--sequence_length", str(length), "--per_device_train_batch_size", str(batch), *variant]
            plan = bench(shop, 0, "--plan", "true", *options)[0]["memory_bytes"]
            taken = bench(shop, 0, *options, "--warmup_steps", "1", "--max_steps", "1")[0]["ranks"][0]["memory_bytes"]
            for kind in ("activations", "lora_state"):
                harness.expect(plan[kind] == taken[kind], f"{options}: {kind} planned {plan[kind]}, taken {taken[kind]}")
            harness.expect(near(plan["base"], taken["base"], 0.05), f"{options}: base planned {plan['base']}, taken {taken['base']}")
            # 10 %, and beside it how much of libtorch's code is resident, which differs between processors: their kernels are others.
            # Within 10 % alone on an Intel Xeon with AMX.
            off = abs(plan["peak"] - taken["peak"])
            harness.expect(off <= 0.1 * taken["peak"] + OTHER_KERNELS_BYTES, f"{options}: planned {plan}, taken {taken}")


def collectives(shop: harness.Workshop) -> None:
    result, text = bench(shop, 4, "--collectives", "true")
    harness.expect(result["plane"] == "MPI" and result["world_size"] == 4, f"{result['plane']} {result['world_size']}")
    factors = {"all_reduce_sum": 1.5, "broadcast": 1, "tree_sum": 2}  # 2 (n - 1) / n, 1, log2(n)
    harness.expect({time["operation"] for time in result["times"]} == set(factors), f"operations {result['times']}")
    for time in result["times"]:
        speed = time["bytes"] / time["us"] / 1000
        harness.expect(near(time["algbw_gb_per_second"], speed, 1e-9) and
                       near(time["busbw_gb_per_second"], speed * factors[time["operation"]], 1e-9), f"{time}")
        harness.expect(str(time["bytes"]) in text, f"no line of {time['bytes']} bytes: {text}")


def refusals(shop: harness.Workshop) -> None:
    for options, said in ((["--plan", "true", "--collectives", "true"], "in two calls"),
                          (["--plan", "true", "--model_name_or_path", "random:stories260k", "--dataset", str(shop.dataset)], "reads no examples"), ([], "model_name_or_path is missing"),
                          (["--model_name_or_path", "random:stories260k", "--sequence_length", "100000"], "positions"),
                          (["--model_name_or_path", "random:no-such-shape"], "no-such-shape")):
        _, text = bench(shop, 0, *options, code=2)
        harness.expect(said in text, f"bench {options} says: {text[-1000:]}")


def work() -> None:
    with harness.workshop(harness.parser(__doc__).parse_args()) as shop:
        for case in (adds_up, is_the_trainers_step, buckets_are_those_of_the_cluster_model, checkpointing_trades_memory_for_time, the_plan_is_what_it_takes, collectives, refusals):
            case(shop)
            print(f"{case.__name__}: as expected", flush=True)


if __name__ == "__main__":
    harness.main(work)
