"""Runs shellcheck over every shell script: by its ending, or by its first line.

Usage: shell.py REPOSITORY
"""
import pathlib
import re
import subprocess

import tree

SHEBANG = re.compile(rb"#!.*\b(ba)?sh\b")


def is_shell_script(path: pathlib.Path) -> bool:
    if path.is_symlink():
        return False
    if path.suffix in {".sh", ".sbatch"}:
        return True
    with path.open("rb") as file:
        return SHEBANG.match(file.readline(100)) is not None


def check(root: pathlib.Path) -> tuple[list[str], int]:
    scripts = [path for path in tree.repository_files(root) if is_shell_script(root / path)]
    if not scripts:
        return [], 0
    # --source-path: a script names what it sources from the top of the repository.
    command = [tree.find_tool("shellcheck"), "--external-sources", "--source-path", root, "--format", "gcc", *scripts]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    problems = (result.stdout + result.stderr).splitlines()
    return problems or ["shellcheck failed"] * (result.returncode != 0), len(scripts)


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "shell scripts")
