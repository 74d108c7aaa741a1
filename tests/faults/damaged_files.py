#!/usr/bin/env python3
"""Damages what a training reads, and holds it to one of two answers: the right bits, or a refusal that names the file.

Checkpoints: each file of the newest one cut at every length class (nothing, inside and at the end of a safetensors
header, at a page, in the middle, one byte short), one byte longer, with one bit flipped, or gone. Resuming must say what it
skips, go on from the checkpoint before, and end with the bits of an undisturbed run. With every checkpoint damaged it
must refuse with exit code 2 and leave everything as it is.

Shards: the same to the dataset's HDF5 files, and bits flipped at random places. On every number of ranks the run must
end with exit code 2 and the shard's name, before it writes anything.

    tests/faults/damaged_files.py --allreco build/release/allreco --flips 20 --seed 1
    tests/faults/damaged_files.py --allreco build/release/allreco --every 5             every fifth damage
"""
import pathlib
import random
import shutil
import subprocess

import harness

STEPS = 4
TRAIN = {"max_steps": STEPS, "save_steps": 1}
FILES = [*harness.CHECKPOINT_FILES, "SHA256SUMS"]


def lengths_of(content: bytes, is_safetensors: bool) -> dict[str, int]:
    """Every class of a cut file, by name."""
    size = len(content)
    classes = {"nothing": 0, "1 byte": 1, "half": size // 2, "one byte short": size - 1}
    if size > 4096:
        classes |= {"a page": 4096, "a page and a byte": 4097}
    if is_safetensors:
        header = 8 + int.from_bytes(content[:8], "little")
        classes |= {"in the header's length": 7, "the header's length": 8, "in the header": header // 2, "the header": header,
                    "a byte of the data": header + 1}
    return classes


def damages_of(path: pathlib.Path, seed: random.Random) -> dict[str, bytes | None]:
    """Other contents for a file, by name; None: it is gone."""
    content = path.read_bytes()
    found: dict[str, bytes | None] = {f"cut to {name}": content[:length]
                                      for name, length in lengths_of(content, path.suffix == ".safetensors").items()}
    return {**found, "one byte longer": content + b"\0", **flips_of(content, seed, 1), "gone": None}


def flips_of(content: bytes, seed: random.Random, count: int) -> dict[str, bytes]:
    found = {}
    for _ in range(count):
        place, bit = seed.randrange(len(content)), seed.randrange(8)
        found[f"bit {bit} of byte {place} flipped"] = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1:]
    return found


def put(path: pathlib.Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def is_harmless(checkpoint: pathlib.Path) -> bool:
    """Whether sha256sum still finds all files right: SHA256SUMS may lose its last line's end, for example."""
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=checkpoint, capture_output=True, text=True)
    return check.returncode == 0 and check.stdout.count(": OK") == len(harness.CHECKPOINT_FILES)


class Damages:
    def __init__(self, shop: harness.Workshop, options):
        self.shop = shop
        self.random = random.Random(options.seed)
        self.every = options.every
        self.flips = options.flips
        self.expected = harness.reference(shop, 0, TRAIN)
        self.whole = shop.scratch / "reference"
        self.count = 0

    def is_due(self) -> bool:
        self.count += 1
        return (self.count - 1) % self.every == 0

    def checkpoints(self) -> None:
        done = harmless = 0
        for name in FILES:
            newest = self.whole / f"checkpoint-{STEPS}" / name
            for damage, content in damages_of(newest, self.random).items():
                if self.is_due():
                    harmless += self.one_checkpoint(name, damage, content)
                    done += 1
        print(f"{done} damages to the newest checkpoint: {done - harmless} times it was skipped with a message, {harmless} times "
              "sha256sum found all files right and so did the program; every run had the right bits", flush=True)

    def resume(self, output_dir: pathlib.Path) -> harness.Run:
        return self.shop.train(0, output_dir, {**TRAIN, "resume_from_checkpoint": "auto"})

    def one_checkpoint(self, name: str, damage: str, content: bytes | None) -> bool:
        output_dir = self.copy_of_the_run()
        put(output_dir / f"checkpoint-{STEPS}" / name, content)
        harmless = is_harmless(output_dir / f"checkpoint-{STEPS}")
        run = self.resume(output_dir)
        what = f"{name} {damage}"
        harness.expect(run.process.returncode == 0, f"{what}: ended with {run.process.returncode}: {run.output()[-2000:]}")
        skipped = f"checkpoint-{STEPS}:" in run.output() and "skipping the checkpoint" in run.output()
        harness.expect(skipped != harmless, f"{what}: checkpoint-{STEPS} was {'' if skipped else 'not '}skipped: {run.output()[-2000:]}")
        harness.expect(f"resuming after {STEPS if harmless else STEPS - 1} of" in run.output(), f"{what}: {run.output()[-2000:]}")
        self.expected.require_same(harness.Bits.of(output_dir), what)
        if not harmless:
            harness.require_only_whole_checkpoints(output_dir)
        return harmless

    def copy_of_the_run(self) -> pathlib.Path:
        output_dir = self.shop.scratch / "run"
        shutil.rmtree(output_dir, ignore_errors=True)
        shutil.copytree(self.whole, output_dir, symlinks=True)
        return output_dir

    def all_checkpoints(self) -> None:
        output_dir = self.copy_of_the_run()
        for path in harness.checkpoints(output_dir).values():
            put(path / "optimizer.safetensors", (path / "optimizer.safetensors").read_bytes()[:-1])
        before = contents_of(output_dir)
        run = self.resume(output_dir)
        harness.expect(run.process.returncode == 2, f"all damaged: ended with {run.process.returncode}: {run.output()[-2000:]}")
        harness.expect("no whole checkpoint" in run.output(), f"all damaged: {run.output()[-2000:]}")
        harness.expect(contents_of(output_dir) == before, "all damaged: the output directory was changed")
        print("every checkpoint damaged: refused with code 2, nothing touched", flush=True)

    def shards(self) -> None:
        done = 0
        for shard in sorted(self.shop.dataset.glob("train-*.h5")):
            content = shard.read_bytes()
            for damage, damaged in {**damages_of(shard, self.random), **flips_of(content, self.random, self.flips)}.items():
                if not self.is_due():
                    continue
                put(shard, damaged)
                self.one_shard(shard, damage, ranks=(0, 2)[done % 2])
                shard.write_bytes(content)
                done += 1
        print(f"{done} damages to shards: each refused with code 2 by the shard's name, nothing written", flush=True)

    def one_shard(self, shard: pathlib.Path, damage: str, ranks: int) -> None:
        output_dir = self.shop.scratch / "run"
        shutil.rmtree(output_dir, ignore_errors=True)
        run = self.shop.train(ranks, output_dir, TRAIN)
        what = f"{shard.name} {damage} on {max(ranks, 1)} rank(s)"
        harness.expect(run.process.returncode == 2, f"{what}: ended with {run.process.returncode}: {run.output()[-2000:]}")
        harness.expect(shard.name in run.output(), f"{what}: the message does not name the shard: {run.output()[-2000:]}")
        harness.expect(not output_dir.exists(), f"{what}: {output_dir} was made")


def contents_of(directory: pathlib.Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): harness.sha256(path) for path in sorted(directory.rglob("*")) if path.is_file()}


def work() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--every", type=int, default=1, help="only every so many damages")
    options.add_argument("--flips", type=int, default=20, help="bits flipped in each shard")
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    with harness.workshop(options) as shop:
        damages = Damages(shop, options)
        damages.checkpoints()
        damages.all_checkpoints()
        damages.shards()


if __name__ == "__main__":
    harness.main(work)
