#!/usr/bin/env python3
"""A real model through the whole program, beside transformers and PEFT: text to ids, training, greedy answers, the exported model, the adapter.

    VENV/bin/python tests/peer/real_model.py MODEL PROMPTS.jsonl[.gz] [--steps 20] [--answers 50] [--work DIR]

MODEL is what launch/get_model.sh made, or any other directory with tokenizer.json; PROMPTS has {prompt, output}. All in float32, from one adapter that PEFT made.
Prints what was compared and how far apart it is, and ends with 1 where something is out of its limit:
  ids            of every prompt and answer, as the tokenizers library encodes them: equal
  losses         of every step, relative: 1e-4; the peer's in float64 from its logits
  test loss      of the trained adapter, and of the same adapter in PEFT, relative: 1e-4
  answers        greedy, equal; one may differ where the peer's two best logits lie within 1e-4 of one another somewhere
  exported       logits of the exported model in transformers, against base and adapter in PEFT: rms of the difference 1e-5 of the logits' rms
Needs torch transformers peft safetensors tokenizers h5py; some 4 GB and, for 135 million parameters on two cores, ten minutes.
"""
import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TRANSFORMERS_VERBOSITY="error", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
import h5py
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BATCH, MAX_NEW_TOKENS, LEARNING_RATE, WARMUP = 4, 24, 1e-3, 3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
problems = []


def report(what, found, limit):
    print(f"{what}: {found:.2e} (limit {limit:g})", flush=True)
    if not found <= limit:
        problems.append(what)


def allreco(*arguments):
    command = [str(part) for part in (ROOT / "build/release/allreco", *arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")


def base(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def rows_of(path, count):
    opener = gzip.open if str(path).endswith(".gz") else open
    rows = []
    with opener(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("prompt") and row.get("output"):
                rows.append({"prompt": row["prompt"], "output": row["output"]})
            if len(rows) == count:
                return rows
    sys.exit(f"{path}: {len(rows)} rows, {count} are needed")


def examples_of(dataset, split):
    """(ids, prompt length) of every example."""
    info = json.loads((dataset / "dataset.json").read_text())
    examples = []
    for shard in sorted(dataset.glob(f"{split}-*.h5")):
        with h5py.File(shard) as file:
            offsets, prompts, tokens = file["example_offsets"][:], file["prompt_lengths"][:], file["tokens"][:]
        examples += [(tokens[a:b].astype(int).tolist(), int(p)) for a, b, p in zip(offsets, offsets[1:], prompts)]
    assert info["splits"][split]["examples"] == len(examples)
    return examples


def check_ids(model, rows, examples):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # text of users is text
    different = 0
    for row, (ids, prompt_length) in zip(rows, examples, strict=True):
        prompt, answer = (tokenizer.encode(row[key], add_special_tokens=False).ids for key in ("prompt", "output"))
        own = ids[prompt_length - len(prompt):prompt_length], ids[prompt_length:-1]
        different += own != (prompt, answer) or prompt_length - len(prompt) not in (0, 1)
    report(f"ids of {len(rows)} rows, rows that differ", different, 0)


def loss_of(model, examples):
    nll = count = 0
    with torch.no_grad():
        for ids, prompt_length in examples:
            logits = model(input_ids=torch.tensor([ids])).logits[0, prompt_length - 1:-1].double()
            target = torch.tensor(ids[prompt_length:])
            nll -= torch.log_softmax(logits, -1)[torch.arange(len(target)), target].sum().item()
            count += len(target)
    return nll / count


def peer_losses(model, examples, steps):
    """PEFT's adapter trained as Trainer does: AdamW, linear schedule after a warm-up, clipped at 1."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=LEARNING_RATE, weight_decay=1e-3)
    losses = []
    for step in range(steps):
        batch = examples[step * BATCH:(step + 1) * BATCH]
        length = max(len(ids) for ids, _ in batch)
        input_ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in batch])
        labels = torch.tensor([[-100] * p + ids[p:] + [-100] * (length - len(ids)) for ids, p in batch])
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (step / WARMUP if step < WARMUP else (steps - step) / (steps - WARMUP))
        # transformers' own loss is a float32 log-softmax, whose sum over 262,144 pieces is off by 8e-6 from the same logits' in float64
        logits = model(input_ids=input_ids, attention_mask=mask).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits[labels[:, 1:] != -100].double(), labels[:, 1:][labels[:, 1:] != -100])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def greedy(model, prompt, ends):
    """The answer's ids, and how close the two best logits ever were."""
    ids, closest = list(prompt), float("inf")
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), use_cache=True)
        for _ in range(MAX_NEW_TOKENS):
            two = out.logits[0, -1].topk(2)
            closest = min(closest, (two.values[0] - two.values[1]).item())
            token = two.indices[0].item()
            if token in ends:
                break
            ids.append(token)
            out = model(input_ids=torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
    return ids[len(prompt):], closest


def ends_of(model):
    ends = set()
    for name in ("config.json", "generation_config.json"):
        if (model / name).exists():
            value = json.loads((model / name).read_text()).get("eos_token_id", [])
            ends |= set(value if isinstance(value, list) else [value])
    return ends


def check_answers(model, peer, examples, predictions):
    tokenizer, ends = Tokenizer.from_file(str(model / "tokenizer.json")), ends_of(model)
    same = explained = 0
    for (ids, prompt_length), line in zip(examples, predictions, strict=True):
        answer, closest = greedy(peer, ids[:prompt_length], ends | {ids[-1]})
        if tokenizer.decode(answer) == line["generated"]:
            same += 1
        elif closest < 1e-4:
            explained += 1
        else:
            print(f"differs: {line['generated']!r}, the peer says {tokenizer.decode(answer)!r}, margin {closest:.1e}")
    print(f"greedy answers: {same} of {len(examples)} equal, {explained} more explained by two logits within 1e-4")
    report("greedy answers that differ", len(examples) - same - explained, 0)


def check_exported(exported, peer, examples):
    mine = base(exported)
    with torch.no_grad():
        pairs = [(m(input_ids=torch.tensor([ids])).logits.double() for m in (mine, peer)) for ids, _ in examples[:8]]
        sums = [((a - b).square().mean().item(), b.square().mean().item()) for a, b in pairs]
    report("exported model's logits, rms of the difference over the logits' rms", (sum(a for a, _ in sums) / sum(b for _, b in sums)) ** 0.5, 1e-5)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("prompts", type=pathlib.Path)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--answers", type=int, default=50)
    p.add_argument("--work", type=pathlib.Path, help="keep everything here")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = a.work or pathlib.Path(folder)
        work.mkdir(exist_ok=True)
        check(a, work)
    sys.exit(f"out of their limits: {', '.join(problems)}" if problems else 0)


def check(a, work):
    rows = rows_of(a.prompts, a.steps * BATCH + a.answers)
    train = rows[:a.steps * BATCH]
    (work / "rows.jsonl").write_text("".join(json.dumps({**row, "split": "train" if i < len(train) else "test"}) + "\n" for i, row in enumerate(rows)))
    allreco("prepare", "--prompts", work / "rows.jsonl", "--tokenizer", a.model, "--template", "plain", "--output_dir", work / "dataset")
    train_examples, test_examples = (examples_of(work / "dataset", split) for split in ("train", "test"))
    check_ids(a.model, rows, train_examples + test_examples)

    torch.manual_seed(1)
    peer = get_peft_model(base(a.model), LoraConfig(r=16, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"))
    peer.save_pretrained(work / "adapter")
    common = ["--model_name_or_path", a.model, "--dtype", "float32", "--dataset", work / "dataset"]
    allreco("train", *common, "--adapter_name_or_path", work / "adapter", "--output_dir", work / "run", "--per_device_train_batch_size", BATCH, "--shuffle_dataset", "false",
            "--max_steps", a.steps, "--learning_rate", LEARNING_RATE, "--weight_decay", 1e-3, "--warmup_steps", WARMUP, "--logging_steps", 1, "--save_strategy", "no")
    lines = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    own = [line["loss"] for line in lines if "loss" in line]
    theirs = peer_losses(peer, train_examples, a.steps)
    print("losses:", " ".join(f"{x:.4f}" for x in own))
    report(f"losses of {len(own)} steps, largest relative difference", max(abs(x - y) / y for x, y in zip(own, theirs, strict=True)), 1e-4)
    del peer

    tuned = PeftModel.from_pretrained(base(a.model), work / "run").eval()
    allreco("evaluate", *common, "--adapter_name_or_path", work / "run", "--split", "test", "--max_new_tokens", MAX_NEW_TOKENS, "--output_dir", work / "evaluation")
    evaluation = json.loads((work / "evaluation/evaluation.json").read_text())
    peer_loss = loss_of(tuned, test_examples)
    report("test loss, relative difference from the adapter in PEFT", abs(evaluation["loss"]["mean_nll"] - peer_loss) / peer_loss, 1e-4)
    predictions = [json.loads(line) for line in (work / "evaluation/predictions.jsonl").read_text().splitlines()]
    check_answers(a.model, tuned, test_examples, predictions)
    allreco("export", "--model_name_or_path", a.model, "--adapter_name_or_path", work / "run", "--export_dtype", "float32", "--output_dir", work / "exported")
    check_exported(work / "exported", tuned, test_examples)


if __name__ == "__main__":
    main()
