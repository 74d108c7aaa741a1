#!/usr/bin/env python3
"""Adapters between allreco and PEFT, both ways. Needs torch, transformers and peft; no test or program of allreco needs this.

    peft_roundtrip.py check --base_model_name_or_path BASE --adapter_name_or_path ADAPTER
        PEFT loads an adapter that allreco wrote (train's --output_dir, or a checkpoint-N in it): every tensor must arrive
        unchanged, none may be missing or left over, B must change the logits (unless it is all zero), and PEFT must save it
        again to the very same bytes. Exits 1 on any difference.

    peft_roundtrip.py make --base_model_name_or_path BASE --output_dir DIR
        PEFT makes an adapter of uncommon settings on BASE and saves it, with logits, as a fixture for tests/model
        (tests/fixtures/peft-roundtrip was made so from tests/fixtures/golden/llama-tiny).

BASE and ADAPTER are directories.
"""
import argparse
import json
import os
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TRANSFORMERS_VERBOSITY="error")
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FILES = ("adapter_config.json", "adapter_model.safetensors")


def load_base(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")


def token_ids(model, length=24):
    return (torch.arange(length) * 7 + 3) % model.config.vocab_size


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=ids[None]).logits[0].float()


def compare_tensors(adapter, model):
    """What PEFT holds against what the file says, by PEFT's names."""
    written = load_file(os.path.join(adapter, FILES[1]))
    held = {name.replace("_vector.default.weight", "_vector").replace(".default.weight", ".weight"): value for name, value in model.named_parameters() if "lora_" in name}
    problems = [f"PEFT has no {name}" for name in written.keys() - held.keys()]
    problems += [f"the file lacks {name}" for name in held.keys() - written.keys()]
    for name in written.keys() & held.keys():
        if not torch.equal(written[name].float(), held[name].float()):
            problems.append(f"{name} differs")
    return problems, any(value.any() for name, value in written.items() if "lora_B" in name)


def compare_saved_again(adapter, model):
    """PEFT's own files against the adapter's, byte by byte; the configs also key by key, to name what differs."""
    problems = []
    config = model.peft_config["default"]
    for field in ("target_modules", "exclude_modules"):  # sets: PEFT writes them in any order
        if isinstance(getattr(config, field), set):
            setattr(config, field, sorted(getattr(config, field)))
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        for name in FILES:
            ours, theirs = (open(os.path.join(d, name), "rb").read() for d in (adapter, directory))
            if ours == theirs:
                continue
            problems.append(f"PEFT saves other bytes to {name}")
            if name.endswith(".json"):
                ours, theirs = json.loads(ours), json.loads(theirs)
                problems += [f"  {key}: {ours.get(key, 'absent')!r} against PEFT's {theirs.get(key, 'absent')!r}"
                             for key in sorted(ours.keys() | theirs.keys()) if ours.get(key, "absent") != theirs.get(key, "absent")]
    return problems


def check(base_directory, adapter):
    base = load_base(base_directory)
    ids = token_ids(base)
    plain = logits_of(base, ids)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # PEFT only warns about keys it misses or does not know
        model = PeftModel.from_pretrained(base, adapter)
    problems, trained = compare_tensors(adapter, model)
    moved = (logits_of(model, ids) - plain).abs().max().item()
    if (moved > 0) != trained:
        problems.append(f"the adapter moves the logits by {moved}, although B is {'filled' if trained else 'zero'}")
    problems += compare_saved_again(adapter, model)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{adapter}: {len(load_file(os.path.join(adapter, FILES[1])))} tensors, logits moved by {moved:.3g}, "
          f"{len(problems)} problems")
    return 1 if problems else 0


def make(base_directory, output_dir):
    torch.manual_seed(0)
    base = load_base(base_directory)
    config = LoraConfig(r=5, lora_alpha=12.5, lora_dropout=0.05, use_rslora=True, task_type="CAUSAL_LM",
                        target_modules=["v_proj", "q_proj", "o_proj", "up_proj", "down_proj"])
    model = get_peft_model(base, config)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.uniform_(value, -0.1, 0.1)
    model.peft_config["default"].base_model_name_or_path = os.path.basename(os.path.normpath(base_directory))
    model.peft_config["default"].target_modules = sorted(config.target_modules)  # a set: PEFT writes it in any order
    model.save_pretrained(output_dir)
    os.remove(os.path.join(output_dir, "README.md"))
    ids = token_ids(model)
    logits = logits_of(model.eval(), ids)
    save_file({"input_ids": ids, "logits": logits}, os.path.join(output_dir, "logits.safetensors"), {"format": "pt"})
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("check", "make"))
    parser.add_argument("--base_model_name_or_path", required=True)
    parser.add_argument("--adapter_name_or_path")
    parser.add_argument("--output_dir")
    args = parser.parse_args()
    target = args.adapter_name_or_path if args.command == "check" else args.output_dir
    if target is None:
        parser.error("check needs --adapter_name_or_path, make needs --output_dir")
    return (check if args.command == "check" else make)(args.base_model_name_or_path, target)


if __name__ == "__main__":
    sys.exit(main())
