"""What this folder reads and writes: files that may be damaged or from elsewhere, and one run at a time in a directory."""
import fcntl
import json
import os
import pathlib
import socket
import stat
import time
import unicodedata

LARGEST_JSON = 256 << 20


class Refused(Exception):
    """What is wrong with the input, and where: exit code 2."""


def printable(text: str) -> str:
    """As core::printable: controls, line ends and what turns the direction of reading are escaped."""
    return "".join(c if c.isprintable() and unicodedata.bidirectional(c) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                   else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def read_text(path: pathlib.Path) -> str:
    """Of a regular file: opening a FIFO waits for ever, and /dev/zero never ends."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Refused(f"{path} is no regular file")
        if path.stat().st_size > LARGEST_JSON:
            raise Refused(f"{path} has more than {LARGEST_JSON} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read {path}: {error}") from error


def read_json(path: pathlib.Path) -> dict:
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(f"{path}: an object is expected")
    return value


class From:
    """`with From(path):` what it holds is not as expected is the file's fault."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is not None and issubclass(kind, (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)):
            raise Refused(f"{self.path} does not hold what is expected there ({kind.__name__}: {error}): measure again") from error


def positive(value) -> float:
    """A measurement."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"a number above 0 is expected, found {value!r:.100}")
    return value


def not_negative(value) -> float:
    return value if value == 0 and not isinstance(value, bool) else positive(value)


def write_text(path: pathlib.Path, text: str) -> None:
    """Whole or not at all."""
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8", newline="")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: pathlib.Path, value) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


class OneRun:
    """The only one that measures in this directory; the kernel (over NFS the file server) ends the lock with its process."""

    def __init__(self, directory: pathlib.Path):
        path = directory / ".scaling.lock"
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self.descriptor, 500, 0).decode(errors="replace").strip() or "another process"
            os.close(self.descriptor)
            raise Refused(f"--output_dir: {directory} is in use by {owner}: wait for it, or give another directory") from None
        os.ftruncate(self.descriptor, 0)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.pwrite(self.descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode(), 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)
