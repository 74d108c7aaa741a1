"""Checks the arrows between the folders of src/, and that a library's headers stay in the one place made for them.

Usage: layering.py REPOSITORY
"""
import pathlib
import re

import tree

ALLOWED = {
    "core": set(),
    "dist": {"core"},
    "data": {"core"},
    "model": {"core"},
    "train": {"core", "dist", "data", "model", "eval"},
    "eval": {"core", "dist", "data", "model"},
    "recommend": {"core", "data", "model", "eval"},
    "report": {"core", "data", "model", "eval"},
    "audit": {"core", "data", "eval"},
    "doctor": {"core", "dist", "data", "model"},
    "bench": {"core", "dist", "data", "model", "train", "eval"},
    "cli": {"core", "dist", "data", "model", "train", "eval", "recommend", "report", "audit", "doctor", "bench"},
}

CUDA_FILES = r"\.cuh?$|/cuda/|/nccl_api_cuda\.cpp$"
# (header, files of src/ that may include it, why)
RESTRICTED = [
    (r"mpi(-ext)?\.h$", r"^dist/[^/]*\.cpp$", "MPI stays in dist/*.cpp"),
    (r"nccl\.h$", r"^dist/[^/]*\.cpp$", "NCCL stays in dist/*.cpp"),
    (r"(hdf5|H5\w*|hdf5_hl)\.h$", r"^data/store/hdf5_file\.(cpp|h)$", "HDF5 stays in data/store/hdf5_file"),
    (r"sentencepiece", r"^data/tokenizer/[^/]*\.cpp$", "sentencepiece stays in data/tokenizer/*.cpp"),
    (r"pcre2\.h$", r"^core/regex\.cpp$", "PCRE2 stays in core/regex.cpp"),
    (r"unicode/", r"^data/tokenizer/unicode\.cpp$", "ICU stays in data/tokenizer/unicode.cpp"),
    (r"simdjson\.h$", r"^data/input/line_fields\.cpp$", "simdjson stays in data/input/line_fields.cpp"),
    (r"isa-l", r"^data/input/gzip_source\.cpp$", "ISA-L stays in data/input/gzip_source.cpp"),
    (r"zstd\.h$", r"^data/input/zstd_source\.cpp$", "zstd stays in data/input/zstd_source.cpp"),
    (r"httplib\.h$", r"^recommend/http_server\.cpp$", "cpp-httplib stays in recommend/http_server.cpp"),
    (r"boost/program_options", r"^cli/options\.(cpp|h)$", "Boost.Program_options stays in cli/options"),
    (r"spdlog/", r"^core/log\.cpp$", "spdlog stays in core/log.cpp"),
    (r"(cuda|cublas|curand|cusparse|cudnn)\w*\.h$|(c10|ATen)/cuda/", CUDA_FILES, "CUDA stays in the CUDA files"),
    (r"regex$", r"^$", "std::regex has no limits, and patterns come from outside: use core/regex.h"),
    (r"torch/", r"^$", "torch's C++ front end and autograd are for tests only"),
]
# Too slow to compile (20 to 50 s a file), in tests as well.
FORBIDDEN = r"^(ATen/ATen\.h|torch/torch\.h|torch/all\.h|torch/extension\.h)$"

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.MULTILINE)
LINKED = re.compile(r"\ballreco_(\w+)\b")


def includes(path: pathlib.Path) -> list[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in INCLUDE.finditer(text)]


def check_source(folder: str, name: str, header: str) -> list[str]:
    """What is wrong with `name`, a path below src/, including `header`."""
    problems = []
    target = header.split("/")[0]
    if ".." in header.split("/"):
        problems.append(f"includes {header}: write the path from src/ on")
    elif target in ALLOWED and target != folder and target not in ALLOWED[folder]:
        problems.append(f"{folder} must not include {target} ({header})")
    for pattern, allowed_files, why in RESTRICTED:
        if re.match(pattern, header) and not re.search(allowed_files, name):
            problems.append(f"must not include {header}: {why}")
    return problems


def check_links(root: pathlib.Path, folder: str) -> list[str]:
    """The libraries that a folder links are arrows, too."""
    path = root / "src" / folder / "CMakeLists.txt"
    linked = set(LINKED.findall(path.read_text(encoding="utf-8"))) & ALLOWED.keys() - {folder}
    return [f"src/{folder}/CMakeLists.txt: {folder} must not link {other}" for other in sorted(linked - ALLOWED[folder])]


def check(root: pathlib.Path) -> tuple[list[str], int]:
    problems = []
    paths = tree.sources(root, tree.CODE)
    for path in paths:
        for line, header in includes(root / path):
            found = [f"must not include {header}: too slow to compile"] if re.match(FORBIDDEN, header) else []
            if path.parts[0] == "src":
                if path.parts[1] not in ALLOWED:
                    found.append(f"folder {path.parts[1]} has no arrows: add it to tests/lint/layering.py")
                else:
                    found += check_source(path.parts[1], path.relative_to("src").as_posix(), header)
            problems += [f"{path}:{line}: {problem}" for problem in found]
    for folder in ALLOWED:
        problems += check_links(root, folder)
    return problems, len(paths)


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "source files")
