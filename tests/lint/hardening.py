"""Checks that a program has what cmake/Hardening.cmake asks for: position-independent code, symbols bound and made
read-only at the start, no executable stack, stack protectors, fortified functions, the library's assertions.

Usage: hardening.py PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

import tree

# (what, a pattern in what readelf prints)
WANTED = [
    ("position-independent (-pie)", r"Type:\s+DYN"),
    ("position-independent (-pie)", r"FLAGS_1\b.*\bPIE\b"),
    ("bound at the start (-z now)", r"FLAGS_1\b.*\bNOW\b"),
    ("relocations read-only (-z relro)", r"\bGNU_RELRO\b"),
    ("stack not executable (-z noexecstack)", r"GNU_STACK(\s+0x\w+){5}\s+RW\s"),
    ("stack protectors (-fstack-protector-strong)", r"\b__stack_chk_fail@"),
    ("fortified functions (-D_FORTIFY_SOURCE)", r"\b__(mem|str|read|pread|v?(f|sn?)?printf|fread|realpath)\w*_chk@"),
]
ASSERTIONS = b"_ZSt21__glibcxx_assert_fail"  # GCC 12; GCC 11 prints the message by itself
ASSERTIONS_OF_GCC_11 = b"%s:%d: %s: Assertion '%s' failed."


def check(*programs: pathlib.Path) -> tuple[list[str], int]:
    return [problem for program in programs for problem in problems_of(program)], len(programs)


def problems_of(program: pathlib.Path) -> list[str]:
    command = [tree.find_tool("readelf"), "--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms"]
    text = subprocess.run([*command, program], capture_output=True, text=True, check=True).stdout
    problems = [f"{program.name} is not built with: {what}" for what, pattern in WANTED if not re.search(pattern, text)]
    content = program.read_bytes()
    if ASSERTIONS not in content and ASSERTIONS_OF_GCC_11 not in content:
        problems.append(f"{program.name} is not built with: assertions of the library (-D_GLIBCXX_ASSERTIONS)")
    return sorted(set(problems))


if __name__ == "__main__":
    tree.finish(*check(*map(pathlib.Path, sys.argv[1:])), "programs")
