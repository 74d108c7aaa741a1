#!/usr/bin/env python3
"""What 1, 2 and 4 ranks of one machine read and hold: file bytes read by each rank, and memory with shared pages counted once.

  bench/resources.py --allreco build/release/allreco

Trains a model of 134 million bfloat16 parameters (hidden 768, 12 layers, vocabulary 32000; 268 MB, as a mapped safetensors file) on 100,000 examples
of 48 tokens. Each rank's /proc/PID/io (rchar: bytes of read calls) is taken while it runs, and once, at the same moment for all, /proc/PID/smaps_rollup
and the model's lines of /proc/PID/smaps: PSS counts a page that n processes share as 1/n, so that its sum over ranks is what the node holds.
"""
import json
import os
import pathlib
import random
import re
import shutil
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/faults"))
import harness  # noqa: E402

HIDDEN, INTERMEDIATE, LAYERS, HEADS, VOCABULARY = 768, 2048, 12, 12, 32000
EXAMPLES, TOKENS = 100_000, 48
STEPS, MEASURED_AT = 24, 16
MIB = 2**20


def make_model(directory: pathlib.Path) -> pathlib.Path:
    """A checkpoint with small random weights, written tensor by tensor."""
    directory.mkdir()
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": VOCABULARY,
              "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
              "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16"}
    (directory / "config.json").write_text(json.dumps(config))
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("q", "k", "v", "o"):
            shapes[f"{prefix}self_attn.{name}_proj.weight"] = (HIDDEN, HIDDEN)
        for name in ("gate", "up"):
            shapes[f"{prefix}mlp.{name}_proj.weight"] = (INTERMEDIATE, HIDDEN)
        shapes[f"{prefix}mlp.down_proj.weight"] = (HIDDEN, INTERMEDIATE)
        for name in ("input", "post_attention"):
            shapes[f"{prefix}{name}_layernorm.weight"] = (HIDDEN,)
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 2 * (shape[0] * shape[1] if len(shape) == 2 else shape[0])
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    draw = random.Random(1)
    small = b"".join(struct.pack("<f", draw.gauss(0, 0.02))[2:] for _ in range(MIB // 2))  # bfloat16: the upper half of a float
    with (directory / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(position // MIB):
            file.write(small)
        file.write(small[:position % MIB])
        file.flush()
        os.fsync(file.fileno())  # pages not yet on disk would count as private dirty ones of a single rank
    return directory


def make_dataset(shop: harness.Workshop) -> pathlib.Path:
    draw = random.Random(1)
    rows, dataset = shop.scratch / "rows.jsonl", shop.scratch / "rows"
    with rows.open("w") as file:
        for _ in range(EXAMPLES):
            ids = [draw.randrange(VOCABULARY) for _ in range(TOKENS)]
            file.write(json.dumps({"input_ids": ids, "labels": [-100] * (TOKENS - 4) + ids[-4:]}) + "\n")
    run = shop.start([str(shop.allreco), "prepare", "--tokens", str(rows), "--vocab_size", str(VOCABULARY), "--output_dir", str(dataset)],
                     shop.scratch / "prepare.log")
    harness.expect(run.wait() == 0, run.output())
    return dataset


def bytes_read(pid: int) -> int:
    try:
        text = pathlib.Path(f"/proc/{pid}/io").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(re.search(r"^rchar: (\d+)", text, re.M)[1])


def memory_of(pid: int, model: pathlib.Path) -> dict[str, int]:
    """PSS and private bytes of a process, and the PSS and resident bytes of its mapping of the model."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    total = {key: int(re.search(rf"^{key}:\s+(\d+)", rollup, re.M)[1]) * 1024 for key in ("Pss", "Private_Dirty", "Rss")}
    mapped = {"Pss": 0, "Rss": 0}
    of_model = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            of_model = line.endswith(str(model / "model.safetensors"))
        elif of_model and (match := re.match(r"(Pss|Rss):\s+(\d+)", line)):
            mapped[match[1]] += int(match[2]) * 1024
    return {"pss": total["Pss"], "private": total["Private_Dirty"], "model_pss": mapped["Pss"], "model_rss": mapped["Rss"]}


def measure(shop: harness.Workshop, ranks: int, train: dict, model: pathlib.Path) -> None:
    output_dir = shop.scratch / "run"
    shutil.rmtree(output_dir, ignore_errors=True)
    run = shop.start(shop.train_command(ranks, output_dir, train), output_dir.with_suffix(".log"))
    read: dict[int, int] = {}
    memory = []

    def look() -> bool:
        for pid in run.ranks():
            read[pid] = max(read.get(pid, 0), bytes_read(pid))
        if not memory and harness.last_step(output_dir) >= MEASURED_AT:
            memory.extend(memory_of(pid, model) for pid in run.ranks())
        return False

    run.wait_until(look, seconds=600, interval=0.02)
    harness.expect(run.wait() == 0, run.output()[-3000:])
    harness.expect(len(memory) == ranks, "the run was over before its memory was looked at")
    total = {key: sum(one[key] for one in memory) / MIB for key in memory[0]}
    mean_read = [round(count / MIB, 1) for count in sorted(read.values(), reverse=True)]
    print(f"| {ranks} | {', '.join(map(str, mean_read))} | {total['pss']:.0f} | {total['model_pss']:.0f} | {total['private'] / ranks:.0f} |", flush=True)


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--extra", default="", help="more options of train: key=value,key=value")
    options = options.parse_args()
    options.deterministic = "false"
    with harness.workshop(options) as shop:
        model, dataset = make_model(shop.scratch / "model"), make_dataset(shop)
        files = sum(path.stat().st_size for path in dataset.glob("train-*.h5")) / MIB
        print(f"model {(model / 'model.safetensors').stat().st_size / MIB:.0f} MiB, training shards {files:.1f} MiB; MiB below\n\n"
              "| ranks | read by each rank | PSS of all ranks | of it the model | private, a rank |\n| --- | --- | --- | --- | --- |", flush=True)
        train = {"model_name_or_path": model, "dataset": dataset, "dtype": "bfloat16", "lora_r": 8, "lora_dropout": 0, "target_modules": "all-linear",
                 "global_batch_size": 8, "per_device_train_batch_size": 2, "max_steps": STEPS, "save_strategy": "no",
                 **dict(pair.split("=") for pair in options.extra.split(",") if pair)}
        for ranks in (1, 2, 4):
            measure(shop, ranks, train, model)


if __name__ == "__main__":
    harness.main(work)
