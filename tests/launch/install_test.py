#!/usr/bin/env python3
"""`cmake --install` gives a tree that runs without the repository it came from.

    tests/launch/install_test.py --build build/release [--work DIR]

Installs, moves the tree, and runs the quickstart's steps in it (prepare, train on 2 ranks, evaluate, report, recommend) with the
tree's own scripts, configurations and examples. Nothing that the programs or their libraries load may lie in the repository.
As root it also does all of that where the repository is hidden (a mount namespace with an empty directory over it) and as the user
`nobody`; where namespaces are not allowed it says so and keeps to the first.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

STEPS = r"""
set -eu
share="$1/share/allreco" allreco="$1/bin/allreco" out="$2"
cd "$out"
"$allreco" --version
"$allreco" prepare --reviews "$share/examples/gift-cards/reviews.json.gz" --metadata "$share/examples/gift-cards/metadata.json.gz" \
  --tokenizer "$share/examples/stories260k" --template amazon-next-item-open --num_candidates 0 --output_dir DS
"$share/launch/run.sh" -n 2 -- train --config "$share/configs/quickstart.cfg" --model_name_or_path "$share/examples/stories260k" \
  --dataset DS --output_dir OUT --max_steps 4
"$allreco" evaluate --model_name_or_path "$share/examples/stories260k" --adapter_name_or_path OUT --dataset DS --split test \
  --max_eval_samples 4 --generate false --ranking exhaustive --output_dir EV
"$allreco" report OUT EV --output report.html
"$allreco" recommend --model_name_or_path "$share/examples/stories260k" --adapter_name_or_path OUT --dataset DS \
  --history "$3" --json
test -s report.html
"""


# README's, so that its items are in the data.
HISTORY = re.search(r'recommend .*--history "([^"]+)"', (ROOT / "README.md").read_text())[1]


def fail(message: str):
    raise SystemExit(f"FAILED: {message}")


def run(command: list, what: str, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        fail(f"{what} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def environment(scratch: pathlib.Path) -> dict[str, str]:
    """What a login gives; nothing of the build's."""
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o777)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(temporary), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}


def expect_own_libraries(prefix: pathlib.Path) -> None:
    loaded = run(["ldd", prefix / "bin/allreco-program"], "ldd")
    for library in ("libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13"):
        found = re.search(rf"{re.escape(library)}\S* => (\S+)", loaded)
        if not found or not pathlib.Path(found[1]).resolve().is_relative_to(prefix):
            fail(f"{library} does not come from {prefix}: {loaded}")
    if str(ROOT) in loaded or "not found" in loaded:
        fail(f"the installed program needs {ROOT}, or something is missing: {loaded}")
    for program in ("allreco", "allreco-program"):
        dynamic = run(["readelf", "-d", prefix / "bin" / program], "readelf")
        if str(ROOT) in dynamic:
            fail(f"{program} has a path of the build in it: {dynamic}")


# Hides a directory for a command, which nobody runs.
HIDE = 'mount -t tmpfs none "$1" && shift && exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"'


def can_hide_directories(prefix: pathlib.Path) -> bool:
    """Whether this machine lets us mount, and nobody reach the tree."""
    probe = ["unshare", "--mount", "bash", "-c", HIDE, "hide", ROOT, "test", "-x", prefix / "bin/allreco"]
    return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0


def work() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=None)
    options = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="allreco-install-", dir=options.work))
    try:
        scratch.chmod(0o755)
        run(["cmake", "--install", options.build.resolve(), "--prefix", scratch / "first"], "cmake --install")
        prefix = scratch / "moved/allreco"
        prefix.parent.mkdir()
        (scratch / "first").rename(prefix)
        expect_own_libraries(prefix)
        for text in ("doc/allreco/LICENSE", "doc/allreco/NOTICE", "doc/allreco/libtorch/LICENSE", "allreco/docs/architecture.md"):
            if not (prefix / "share" / text).is_file():
                fail(f"share/{text} is not installed")
        output = scratch / "output"
        output.mkdir()
        output.chmod(0o777)
        steps = ["bash", "-c", STEPS, "steps", prefix, output, HISTORY]
        where = "with the repository in place"
        if can_hide_directories(prefix):
            where = "as nobody, where the repository is not to be seen"
            steps = ["unshare", "--mount", "bash", "-c", HIDE, "hide", ROOT, *steps]
        run(steps, "the quickstart's steps", env=environment(scratch), cwd="/")
        print(f"installed, moved and run {where}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(work())
