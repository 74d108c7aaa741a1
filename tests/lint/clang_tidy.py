"""Runs clang-tidy (.clang-tidy) over sources of src/, each with the flags that the build has for it.

With --changed: over what differs from the commit before the last one that is no merge, committed or not.
ALLRECO_LINT_BASE names another commit. A header is looked at through the source of its name. Where git knows no such
commit, in a clone without history or a copy without git, nothing is checked, and that is said. A change of hundreds of files
would take an hour: no file is begun after SECONDS_OF_CHANGED, and what was left out is said; launch/lint.sh looks at all.

With --together: sources with the same flags in one run, SOURCES_TOGETHER at a time, as the build compiles them, since the headers take
nearly all of the time. It finds what runs alone find but for misc-unused-using-decls, which looks at the main file only.

Usage: clang_tidy.py REPOSITORY BUILD_DIRECTORY (--changed | [--together] FILE_OR_FOLDER...)
"""
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import headers
import tree

SECONDS_OF_CHANGED = 400
SOURCES_TOGETHER = 16
# Sources may have pragmas and warning flags for GCC alone, and the build has parameters of its garbage collector.
FOR_GCC = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unknown-pragmas",
           "--extra-arg=-Wno-unused-command-line-argument"]


def compile_commands(root: pathlib.Path, build: pathlib.Path) -> dict[pathlib.Path, dict]:
    """By source, relative to `root`: its entry without the precompiled header, which is GCC's. isa_*.cpp are left out:
    they use GCC's vector built-ins, which clang lacks."""
    return {path.relative_to(root): {"directory": directory, "file": str(path), "arguments": command}
            for path, command, directory in headers.compile_commands(root, build) if not path.name.startswith("isa_")}


def git(root: pathlib.Path, *arguments: str) -> list[str] | None:
    """What git lists with -z; None: it fails or is not there."""
    try:
        result = subprocess.run(["git", "-C", root, *arguments], capture_output=True)
    except FileNotFoundError:
        return None
    return [os.fsdecode(name) for name in result.stdout.split(b"\0") if name] if result.returncode == 0 else None


def before_last_change(root: pathlib.Path) -> str:
    last = git(root, "rev-list", "--no-merges", "--max-count=1", "HEAD")
    return f"{last[0].strip()}~1" if last else "HEAD~1"


def changed_files(root: pathlib.Path, base: str) -> list[pathlib.Path] | None:
    changed = git(root, "diff", "--name-only", "-z", "--relative", base, "--")
    if changed is None:
        return None
    return sorted(map(pathlib.Path, {*changed, *(git(root, "ls-files", "-z", "--others", "--exclude-standard") or [])}))


def sources_of(paths: list[pathlib.Path], known: dict[pathlib.Path, dict]) -> list[pathlib.Path]:
    """The sources that this build compiles, for files and folders relative to the repository."""
    found = set()
    for path in paths:
        found |= {source for source in known if source == path.with_suffix(".cpp") or source.is_relative_to(path)}
    return sorted(found)


def check(root: pathlib.Path, sources: list[pathlib.Path], known: dict[pathlib.Path, dict],
          seconds: float = math.inf) -> tuple[list[str], int]:
    """The problems, and how many sources were looked at before the time was up."""
    end, looked_at = time.monotonic() + seconds, []
    tool = tree.find_tool("clang-tidy-14")
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "compile_commands.json").write_text(json.dumps([known[source] for source in sources]))

        def run(source: pathlib.Path) -> str:
            if time.monotonic() > end:
                return ""
            looked_at.append(source)
            result = subprocess.run([tool, "--quiet", "-p", folder, *FOR_GCC, root / source], capture_output=True, text=True)
            # stderr counts the warnings in other people's headers; it has more to say only where clang-tidy failed.
            return "" if result.returncode == 0 else f"{source}:\n{result.stdout}{result.stderr}"

        with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
            problems = [problem for problem in pool.map(run, sources) if problem]
    return problems, len(looked_at)


def flags_of(entry: dict) -> tuple[str, ...]:
    """The arguments that do not name the source or what is made of it."""
    return tuple(word for word in entry["arguments"] if word != entry["file"] and not word.endswith((".o", ".o.d")))


def together(folder: pathlib.Path, sources: list[pathlib.Path], known: dict[pathlib.Path, dict]) -> dict[pathlib.Path, dict]:
    """Files in `folder` that each include several of the sources, with the entry of one of them."""
    by_flags = {}
    for source in sources:
        by_flags.setdefault((source.parts[:2], flags_of(known[source])), []).append(source)
    files = {}
    for alike in by_flags.values():
        for begin in range(0, len(alike), SOURCES_TOGETHER):
            some = [known[source] for source in alike[begin:begin + SOURCES_TOGETHER]]
            file = folder / f"{alike[0].parts[1]}_{len(files)}.cpp"
            file.write_text("".join(f'#include "{entry["file"]}"  // NOLINT(bugprone-suspicious-include)\n' for entry in some))
            arguments = [str(file) if word == some[0]["file"] else word for word in some[0]["arguments"]]
            arguments.append("-Wno-shadow")  # a name in one source hides that of another
            files[file] = {**some[0], "file": str(file), "arguments": arguments}
    return files


def check_together(root: pathlib.Path, sources: list[pathlib.Path], known: dict[pathlib.Path, dict]) -> tuple[list[str], int]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(root / ".clang-tidy", folder)
        files = together(pathlib.Path(folder).resolve(), sources, known)
        return check(root, list(files), files)[0], len(sources)


def main() -> None:
    root, build, asked = tree.root_argument(), pathlib.Path(sys.argv[2]), sys.argv[3:]
    known = compile_commands(root, build)
    if asked != ["--changed"]:
        paths = [path for path in asked if path != "--together"]
        sources = sources_of([pathlib.Path(os.path.relpath(path, root)) for path in paths], known)
        return tree.finish(*(check_together if "--together" in asked else check)(root, sources, known), "sources")
    base = os.environ.get("ALLRECO_LINT_BASE") or before_last_change(root)
    changed = changed_files(root, base)
    if changed is None:
        return print(f"nothing is checked: there is no commit {base} here to compare with")
    sources = sources_of(changed, known)
    if not sources:
        return print(f"no source of src/ that this build compiles differs from {base}")
    problems, count = check(root, sources, known, SECONDS_OF_CHANGED)
    return tree.finish(problems, count, f"of {len(sources)} sources that differ from {base}")


if __name__ == "__main__":
    main()
