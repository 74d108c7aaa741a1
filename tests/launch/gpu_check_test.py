#!/usr/bin/env python3
"""launch/gpu_check.sh where there is no GPU: nvidia-smi is a script, and the program of the preset cuda is the real one on the CPU. Shows
that its comparisons come to an end and can fail, that each result is written as it comes, and that a run that was cut goes on.

    tests/launch/gpu_check_test.py --allreco build/release/allreco
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import harness  # noqa: E402

# Notes each training; BREAK: one that ends otherwise than the others.
PROGRAM = """#!/usr/bin/env bash
arguments=("$@")
for i in "${!arguments[@]}"; do [[ "${arguments[i]}" != cuda ]] || arguments[i]=cpu; done
if [[ "$1" == prepare ]]; then arguments+=(--template amazon-next-item-open --num_candidates 0 --max_history 2 --max_length 160); fi  # quicker
if [[ "$1" == train ]]; then echo "$*" >> "$NOTES"; fi
if [[ "$1" == train && -n "${BREAK:-}" && "$*" =~ $BREAK ]]; then arguments+=(--learning_rate 1e-2); fi
exec "$ALLRECO" "${arguments[@]}"
"""


class Checks:
    def __init__(self, scratch: pathlib.Path, allreco: pathlib.Path):
        self.root = scratch / "repository"
        shutil.copytree(harness.ROOT / "launch", self.root / "launch")
        (self.root / "examples").symlink_to(harness.ROOT / "examples")
        self.tools = scratch / "bin"
        self.tools.mkdir()
        (self.root / "build/cuda").mkdir(parents=True)
        self.notes = scratch / "trainings"
        self.result = scratch / "result.txt"
        self.allreco = allreco
        for path, text in ((self.root / "build/cuda/allreco", PROGRAM),
                           (self.tools / "nvidia-smi", '#!/usr/bin/env bash\nfor ((i = 0; i < GPUS; ++i)); do echo "GPU $i: none"; done\n')):
            path.write_text(text)
            path.chmod(0o755)

    def run(self, *arguments: str, gpus: int = 1, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.root / "launch/gpu_check.sh", "--output", self.result, "--no-setup", *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", "GPUS": str(gpus), "NOTES": str(self.notes),
                                   "ALLRECO": str(self.allreco), "OMP_NUM_THREADS": "1", **environment})

    def trainings(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0

    def results(self) -> list[str]:
        return re.findall(r"^(PASS|FAIL)  (.*?) \(", self.result.read_text(), re.MULTILINE)


def items(checks: Checks) -> None:
    one, four = (checks.run("--list", gpus=gpus).stdout.splitlines() for gpus in (1, 4))
    harness.expect(not checks.result.exists(), "--list wrote a result")
    harness.expect(not any("of a GPU each" in title for title in one), "one GPU: items of several")
    harness.expect(set(one) < set(four), "four GPUs: fewer items than with one")
    for ranks in (1, 2, 4):
        harness.expect(f"NCCL: the data-plane suite on {ranks} ranks of a GPU each" in four, f"four GPUs: nothing on {ranks}")
    harness.expect(not any("8 ranks" in title for title in four), "more ranks than GPUs")
    for title in ("bfloat16: GPU against CPU, 20 losses", "bfloat16, deterministic: an exact resume", "evaluate in bfloat16, GPU against CPU",
                  "broadcast loading: 20 losses", "gradient checkpointing: 20 losses", "a sliding window in bfloat16 takes flash attention",
                  "NCCL's own choice of algorithms on 2 ranks that share a GPU"):
        harness.expect(title in one, f"no item '{title}'")
    harness.expect(one.index("bfloat16: GPU against CPU, 20 losses") < one.index("speed, TinyLlama-1.1B bf16 LoRA r16, 512 tokens x 8 "),
                   "the speeds come before the comparisons")
    harness.expect(checks.run("--list", gpus=0).returncode == 2, "without a GPU: no exit code 2")


def comparisons(checks: Checks) -> None:
    wanted = ["dataset", "lora: training on the CPU", "lora: training on the GPU", "lora: GPU against CPU, 20 losses",
              "float32: an exact resume", "evaluate in float32, GPU against CPU", "gradient checkpointing: 20 losses",
              "broadcast loading: 20 losses"]
    only = "^(lora|float32|evaluate in float32|gradient|broadcast loading: )"
    # Cut after the first comparison, as by the end of a job: what has passed is on the disk.
    run = checks.run("--only", "^lora")
    harness.expect(run.returncode == 0 and checks.results() == [("PASS", title) for title in wanted[:4]], f"lora: {run.stdout[-3000:]}")
    shutil.rmtree(f"{checks.result}.scratch", ignore_errors=True)
    run = checks.run("--only", only)
    harness.expect(run.returncode == 0 and checks.results() == [("PASS", title) for title in wanted], f"items: {run.stdout[-3000:]}")


def goes_on(checks: Checks) -> None:
    only = "^(lora|gradient)"
    run = checks.run("--only", only, BREAK="checkpointing")
    harness.expect(run.returncode == 1 and ("FAIL", "gradient checkpointing: 20 losses") in checks.results(),
                   f"another learning rate passed: {run.stdout[-3000:]}")
    before = checks.trainings()
    run = checks.run("--resume", "--only", only)
    harness.expect(run.returncode == 0 and checks.trainings() == before + 1,
                   f"{checks.trainings() - before} trainings to go on with one item: {run.stdout[-3000:]}")
    harness.expect(checks.results()[-1] == ("PASS", "gradient checkpointing: 20 losses"), f"{checks.results()}")


def work() -> None:
    with harness.workshop(harness.parser(__doc__).parse_args()) as shop:
        for case in (items, comparisons, goes_on):
            scratch = shop.scratch / case.__name__
            scratch.mkdir()
            case(Checks(scratch, shop.allreco))
            print(f"{case.__name__}: as expected", flush=True)


if __name__ == "__main__":
    harness.main(work)
