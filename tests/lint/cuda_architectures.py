"""Checks that the preset cuda is built for GPUs that do not exist yet, too: of the newest architecture it names, also PTX, which the
driver compiles for whatever comes after it. Without -real CMake makes both (CMAKE_CUDA_ARCHITECTURES).

Usage: cuda_architectures.py REPOSITORY
"""
import pathlib
import re

import tree


def problems_of(text: str) -> list[str]:
    found = re.search(r"set\(CMAKE_CUDA_ARCHITECTURES ([^)]*)\)", text)
    if found is None:
        return ["CMakeLists.txt: sets no CMAKE_CUDA_ARCHITECTURES"]
    names = found[1].split()
    newest = max(int(name.split("-")[0]) for name in names)
    if any(name in (f"{newest}", f"{newest}-virtual") for name in names):
        return []
    return [f"CMakeLists.txt: no PTX of the newest architecture ({newest}) in CMAKE_CUDA_ARCHITECTURES {found[1]}: write {newest} without -real"]


def check(root: pathlib.Path) -> tuple[list[str], int]:
    return problems_of((root / "CMakeLists.txt").read_text(encoding="utf-8")), 1


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "lists of architectures")
