"""What the checks of this folder share: the files of the repository, and how findings become an exit code."""
import os
import pathlib
import shutil
import subprocess
import sys

NOT_SOURCE = {".git", ".venv", ".cache", "build", "quickstart_output", "__pycache__"}  # as in .gitignore
CODE = {".h", ".cpp", ".inc", ".cu", ".cuh"}


def repository_files(root: pathlib.Path) -> list[pathlib.Path]:
    """Every file of the repository that is tracked or could be, relative to `root`; also where there is no git."""
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True) if shutil.which("git") and (root / ".git").exists() else None
    if listing and listing.returncode == 0:
        names = {pathlib.Path(os.fsdecode(name)) for name in listing.stdout.split(b"\0") if name}
    else:
        names = set()
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = [name for name in subfolders if name not in NOT_SOURCE]
            names |= {pathlib.Path(folder, name).relative_to(root) for name in files}
    return sorted(name for name in names if os.path.lexists(root / name))


def sources(root: pathlib.Path, suffixes: set[str], folders=("src", "tests", "bench")) -> list[pathlib.Path]:
    return [path for path in repository_files(root) if path.suffix in suffixes and path.parts[0] in folders]


def find_tool(*names: str) -> str:
    """The first of `names` that is installed. A check without its tool fails: it must not pass unseen."""
    for name in names:
        if path := shutil.which(name):
            return path
    sys.exit(f"{' or '.join(names)} is not installed: run launch/setup.sh")


def finish(problems: list[str], num_checked: int, what: str) -> None:
    """Prints the findings and ends the process. To have checked nothing at all is a failure, too."""
    for problem in problems:
        print(problem)
    if num_checked == 0:
        sys.exit(f"found no {what} to check")
    print(f"{num_checked} {what} checked, {len(problems)} problems")
    sys.exit(1 if problems else 0)


def root_argument() -> pathlib.Path:
    return pathlib.Path(sys.argv[1]).resolve()
