"""prepare on several ranks: the same bytes for any number of ranks, threads and any memory; and ranks killed in every
phase leave nothing that looks finished, and nothing at all once it has run again.

    tests/faults/prepare_ranks.py [--reviews N] [--ranks 1,2,4,8] [--limits 0,64MiB]
"""
import contextlib
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import harness


PHASES = {"reviews": ["read", "exchange", "sort", "metadata", "join", "plan", "encode", "write"],
          "prompts": ["read", "exchange", "encode", "write"]}


class Bench:
    def __init__(self, options, scratch: pathlib.Path):
        self.allreco, self.scratch = options.allreco.resolve(), scratch
        self.input = scratch / "input"
        self.temporary = scratch / "tmp"
        self.temporary.mkdir(exist_ok=True)
        subprocess.run([sys.executable, harness.ROOT / "bench/make_reviews.py", "--reviews", str(options.reviews), "--text_words", "5",
                        "--hot_user", str(options.hot_user), "--output_dir", self.input], check=True)
        with open(self.input / "prompts.jsonl", "w") as out:
            for i in range(4000):  # some parts of half a megabyte
                answers = [f"Tea {(i * step) % 97}" for step in (1, 2)]
                out.write(json.dumps({"prompt": f"Row {i}. " + "Soap, " * 60, "output": answers[0], "user": i % 50, "timestamp": 10**9 + i % 1000,
                                      **({"options": answers} if answers[0] != answers[1] else {})}) + "\n")

    def source(self, name: str) -> list:
        if name == "prompts":
            return ["--prompts", self.input / "prompts.jsonl", "--split", "time"]
        return ["--reviews", self.input / "reviews.json", "--metadata", self.input / "metadata.json", "--max_history", "3", "--num_candidates", "2"]

    def prepare(self, where: pathlib.Path, ranks: int, limit: str, source: str = "reviews", environment=None, threads: int = 1):
        """Runs in `where`, so that the command is the same everywhere."""
        where.mkdir(exist_ok=True)
        own = tempfile.mkdtemp(prefix="r", dir=self.temporary)
        variables = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive",
                     "OMPI_MCA_rmaps_base_oversubscribe": "1", "TMPDIR": own, "OMPI_MCA_btl_vader_backing_directory": own}
        command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
        command += [self.allreco, "prepare", *self.source(source), "--tokenizer", harness.MODEL, "--output_dir", "DS", "--memory_limit", limit,
                    "--threads", str(threads), "--examples_per_shard", "700"]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=harness.LONGEST_RUN_S,
                              env={**harness.os.environ, **variables, **(environment or {})})


def digests(dataset: pathlib.Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(dataset.iterdir())}


def check_digests(bench: Bench, ranks: list[int], limits: list[str], source: str) -> dict:
    expected = None
    for limit in limits:
        for size in ranks:
            where = bench.scratch / f"{source}-{size}-{limit}"
            run = bench.prepare(where, size, limit, source, threads=2 if size == 1 else 1)
            harness.expect(run.returncode == 0, f"{source}, {size} ranks, limit {limit}: {run.returncode}: {run.stderr}")
            found = digests(where / "DS")
            expected = expected or found
            different = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
            harness.expect(not different, f"{source}, {size} ranks, limit {limit}: other bytes in {different}")
            harness.expect([file.name for file in where.iterdir()] == ["DS"], f"{source}, {size} ranks, limit {limit}: stray files")
            print(f"{source}, {size} ranks, limit {limit}: {len(found)} files alike", flush=True)
    return json.loads((where / "DS/dataset.json").read_text())


def check_input(counts: dict) -> None:
    harness.expect(counts["lines"][0]["malformed"] > 0 and counts["counts"]["examples"] > 1000, "the input is too tame")
    for reason in ["duplicate_row", "repeated_item", "no_metadata", "title_missing", "title_markup_only", "title_script"]:
        harness.expect(counts["counts"]["dropped"]["reviews"][reason] > 0, f"the input has no {reason}")


def check_kills(bench: Bench, source: str) -> None:
    where = bench.scratch / f"{source}-killed"
    for number, phase in enumerate(PHASES[source]):
        victim = number % 2
        run = bench.prepare(where, 2, "0", source, {"ALLRECO_TEST_KILL": f"{phase}@{victim}"})
        harness.expect(run.returncode != 0, f"{source}: killed in {phase}, but the exit code is 0")
        harness.expect(not (where / "DS").exists(), f"{source}: killed in {phase}: a dataset is there")
    run = bench.prepare(where, 2, "0", source)
    harness.expect(run.returncode == 0, f"{source}: after the kills: {run.stderr}")
    left = sorted(file.name for file in where.iterdir())
    harness.expect(left == ["DS"], f"{source}: after the kills and a run: {left}")
    print(f"{source}: killed in {len(PHASES[source])} phases: nothing left", flush=True)


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--reviews", type=int, default=6000)
    parser.add_argument("--hot_user", type=int, default=800)
    parser.add_argument("--ranks", default="1,2,4,8")
    parser.add_argument("--limits", default="0,64MiB")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = options.work or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scratch.mkdir(exist_ok=True)
        bench = Bench(options, scratch)
        ranks = [int(size) for size in options.ranks.split(",")]
        check_input(check_digests(bench, ranks, options.limits.split(","), "reviews"))
        check_digests(bench, ranks[:3], ["0"], "prompts")
        for source in PHASES:
            check_kills(bench, source)


if __name__ == "__main__":
    main()
