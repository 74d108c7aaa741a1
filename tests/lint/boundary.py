"""Checks that what enters and leaves the process does so through the few places made for it: files are opened for reading
by core/input_file (which refuses what is no regular file), and text reaches the terminal through core/log (which escapes
what is no text). Lines of text are made by core::message, as a title among the arguments of fmt::format could start one.

Usage: boundary.py REPOSITORY
"""
import pathlib
import re

import tree

# (what, pattern, files of src/ that may, what to do)
RULES = [
    ("writes to the terminal",
     r"\bfmt::print\b|\bstd::(cout|cerr|clog)\b|\bstd::print(ln)?\b|\bv?f?printf\s*\(|\bf?put(s|c|char)\s*\("
     r"|\bfwrite\s*\([^;]*\bstd(out|err)\b|\bSTD(OUT|ERR)_FILENO\b",
     {"core/log.cpp": "the way", "core/mapped_file.cpp": "last words of a signal handler, made printable before",
      "core/progress_bar.cpp": "the bar, of numbers and the program's own words", "cli/starter.cpp": "its own path, when nothing is loaded yet"},
     "use core::write_output or core::log_*"),
    ("opens a file",
     r"\bstd::(i|basic_i|w)?fstream\b|\bifstream\b|(?<!\w)::open(at)?\s*\(|\bf(re)?open\s*\(|\bgzd?open\s*\(|\bH5Fopen\s*\(",
     {"core/input_file.cpp": "the way", "core/files.cpp": "to write and to sync",
      "core/memory.cpp": "/proc and /sys", "core/host.cpp": "/proc", "doctor/facts.cpp": "/sys", "doctor/gpu_facts.cpp": "/proc and /sys",
      "dist/node_memory.cpp": "memory of its own making", "train/append_file.cpp": "to write",
      "core/run_lock.cpp": "to lock; never waits for a FIFO", "core/spool.cpp": "nameless files of its own making",
      "data/input/line_reader.cpp": "gzdopen of an InputFile", "data/store/hdf5_file.cpp": "behind an InputFile", "cli/starter.cpp": "/dev/null"},
     "use core::InputFile or core::read_file"),
    ("maps memory", r"\bmmap\s*\(",
     {"core/mapped_file.cpp": "the way", "dist/node_memory.cpp": "memory of its own making"},
     "use core::MappedFile"),
    ("makes lines of text", r'\bfmt::format\(\s*(?:"(?:[^"\\]|\\.)*"\s*)*?"(?:[^"\\]|\\.)*\\n',
     {"core/text.cpp": "the way, for Markdown", "cli/commands.cpp": "its own words", "cli/options.cpp": "the help: its own words",
      "cli/config_file.cpp": "quotes its values", "cli/export.cpp": "Markdown and YAML, escaped as such", "recommend/http_server.cpp": "HTTP's lines",
      "report/mistakes_section.cpp": "a number, in HTML", "doctor/path_facts.cpp": "only hashed", "model/checkpoint/fingerprint.cpp": "only hashed",
      "model/lora/adapter.cpp": "only hashed", "train/checkpoint.cpp": "the program's own file names",
      "train/trainer_state.cpp": "lines that are escaped one by one"},
     "use core::message"),
]
COMMENT = re.compile(r"//[^\n]*")


def check(root: pathlib.Path) -> tuple[list[str], int]:
    problems = []
    paths = tree.sources(root, tree.CODE, folders=("src",))
    for path in paths:
        name = path.relative_to("src").as_posix()
        text = COMMENT.sub("", (root / path).read_text(encoding="utf-8"))
        for what, pattern, places, advice in RULES:
            if name in places:
                continue
            problems += [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what} ({match[0].strip()}): {advice}"
                         for match in re.finditer(pattern, text)]
    return problems, len(paths)


if __name__ == "__main__":
    tree.finish(*check(tree.root_argument()), "source files")
