"""How the commands of this folder end with an error: the program's name, what is wrong, exit code 2."""
import argparse
import sys

from files import printable


def die(program: str, text: str):
    print(f"{program}: error: {printable(text)}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    """Its `prog` names the script of launch/ that is called; that script's opening comment is the help."""

    def __init__(self, program: str):
        super().__init__(program, add_help=False, allow_abbrev=False)

    def error(self, message: str):
        die(self.prog, f"{message}; see --help")
