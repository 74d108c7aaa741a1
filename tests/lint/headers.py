"""Checks that every header of src/ compiles on its own.

A header that is the first include of a source file is proved by a build without precompiled headers, which the preset
cuda is, in continuous integration as well. The others are compiled here, with the flags that their folder's sources
have, but for the precompiled header, which would hide what is missing.

Usage: headers.py REPOSITORY BUILD_DIRECTORY
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import layering
import tree


def headers_to_compile(root: pathlib.Path) -> list[pathlib.Path]:
    """Headers, relative to src/, that no source file includes before anything else."""
    first = set()
    for path in tree.sources(root, {".cpp", ".cu"}):
        found = layering.includes(root / path)
        first |= {found[0][1]} if found else set()
    headers = [path.relative_to("src") for path in tree.sources(root, {".h", ".cuh"}, folders=("src",))]
    return [header for header in headers if header.as_posix() not in first]


def compile_flags(root: pathlib.Path, build: pathlib.Path) -> dict[str, list[str]]:
    """The compiler and its flags for each folder of src/, from any of its sources."""
    flags = {}
    for path, command, _ in compile_commands(root, build):
        if f"allreco_{path.relative_to(root / 'src').parts[0]}.dir" not in command[command.index("-o") + 1]:
            continue  # a program that takes single files of a folder along
        flags[path.relative_to(root / "src").parts[0]] = command[: command.index("-o")]  # then the output, -c, the file
    return flags


def compile_commands(root: pathlib.Path, build: pathlib.Path) -> Iterator[tuple[pathlib.Path, list[str], str]]:
    """Each .cpp file of src/ that is compiled, by itself or with others in one of CMake's unity files: the file, the
    command that compiles it alone and without the precompiled header, and the directory to run that in."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        compiled = pathlib.Path(entry["file"])
        is_unity = compiled.parent.name == "Unity" and compiled.is_file()
        included = re.findall('^#include "(.*)"$', compiled.read_text(), re.MULTILINE) if is_unity else [compiled]
        command = shlex.split(entry["command"])
        if os.path.basename(command[0]) == "ccache":
            command = command[1:]
        for path in map(pathlib.Path, included):
            if path.suffix == ".cpp" and path.is_relative_to(root / "src"):
                alone = [str(path) if word == str(compiled) else word for word in command]
                yield path, without_precompiled_header(alone), entry["directory"]


def without_precompiled_header(command: list[str]) -> list[str]:
    kept, words = [], iter(command)
    for word in words:
        if word == "-include":
            next(words)
        elif word != "-Winvalid-pch":
            kept.append(word)
    return kept


def compile_header(command: list[str], header: pathlib.Path) -> str:
    """The compiler's messages, empty when the header stands on its own."""
    result = subprocess.run([*command, "-fsyntax-only", "-x", "c++", "-"], input=f'#include "{header}"\n',
                            capture_output=True, text=True)
    return "" if result.returncode == 0 else f"src/{header} does not compile on its own:\n{result.stderr}"


def check(root: pathlib.Path, build: pathlib.Path) -> list[str]:
    flags = compile_flags(root, build)
    # The headers of a CUDA build, where this build has none, are checked by the cuda preset.
    headers = [header for header in headers_to_compile(root) if header.suffix == ".h"]
    unknown = [f"src/{header}: no source of this folder is compiled" for header in headers if header.parts[0] not in flags]
    headers = [header for header in headers if header.parts[0] in flags]
    with ThreadPoolExecutor(max_workers=2) as pool:  # an ATen header takes half a gigabyte
        messages = pool.map(lambda header: compile_header(flags[header.parts[0]], header), headers)
        return unknown + [message for message in messages if message]


if __name__ == "__main__":
    repository = tree.root_argument()
    num_headers = len(tree.sources(repository, {".h", ".cuh"}, folders=("src",)))
    tree.finish(check(repository, pathlib.Path(sys.argv[2])), num_headers, "headers")
