"""Checks that the repository stands alone: no paths of one machine, no folder beside it, no package index.

Usage: stands_alone.py REPOSITORY
"""
import os
import pathlib
import re

import tree

# Each pattern is written so that it does not match itself.
FORBIDDEN = [
    (re.compile(r"(?<![\w.}\)/-])/(work|root|opt|home/[a-z]\w*)/"), "an absolute path of one machine"),
    (re.compile(r"\.\./shar[e]d\b"), "a folder outside the repository"),
    (re.compile(r"\b(pyp[i]\.org|pythonhoste[d]\.org|downloa[d]\.pytorch\.org)"), "the host of a package index"),
]


def read_text(path: pathlib.Path) -> str:
    """The text of a file, empty for a binary one."""
    content = path.read_bytes()
    return "" if b"\0" in content[:8192] or content[:2] == b"\x1f\x8b" else content.decode("utf-8", "replace")


def check_link(root: pathlib.Path, path: pathlib.Path) -> list[str]:
    target = pathlib.Path(os.path.realpath(root / path))
    return [] if target.is_relative_to(root) and target.exists() else [f"{path}: links to {os.readlink(root / path)}"]


def check_text(path: pathlib.Path, text: str) -> list[str]:
    problems = []
    for pattern, what in FORBIDDEN:
        for match in pattern.finditer(text):
            problems.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: names {what}: {match[0]}")
    return problems


def check(root: pathlib.Path) -> tuple[list[str], int]:
    problems = []
    paths = tree.repository_files(root)
    for path in paths:
        if (root / path).is_symlink():
            problems += check_link(root, path)
        else:
            problems += check_text(path, read_text(root / path))
    return problems, len(paths)


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "files")
