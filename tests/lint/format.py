"""Checks that clang-format would change nothing. Repair with: launch/lint.sh --fix

Usage: format.py REPOSITORY
"""
import pathlib
import subprocess

import tree

VERSION = "14"  # versions differ in details, so all use one
CHANGE = "[-Wclang-format-violations]"


def find_clang_format() -> str:
    tool = tree.find_tool(f"clang-format-{VERSION}", "clang-format")
    version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.strip()
    if f"version {VERSION}." not in version:
        raise SystemExit(f"clang-format {VERSION} is needed, found '{version}': run launch/setup.sh")
    return tool


def check(root: pathlib.Path) -> tuple[list[str], int]:
    paths = tree.sources(root, tree.CODE)
    if not paths:
        return [], 0
    result = subprocess.run([find_clang_format(), "--dry-run", "-Werror", "--style=file", *paths],
                            cwd=root, capture_output=True, text=True)
    if result.returncode == 0:
        return [], len(paths)
    wrong = {line.split(":")[0] for line in result.stderr.splitlines() if CHANGE in line}
    return [f"{path}: clang-format would change it" for path in sorted(wrong)] or [result.stderr], len(paths)


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "source files")
