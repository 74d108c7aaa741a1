"""launch/cluster_model.sh's work; its opening comment is the help."""
import functools
import pathlib
import sys

import cluster_report
import command_line
import projection
from cells import read_plan
from files import Refused, write_json


die = functools.partial(command_line.die, "cluster_model.sh")


def scaling_document(directory: pathlib.Path) -> dict:
    if not (directory / "plan.json").is_file():
        die(f"--scaling: {directory} has no plan.json, which scaling.sh writes")
    document = cluster_report.document_in(read_plan(directory), directory)
    if document is None:
        die(f"--scaling: {directory} has no measured cell, or no collectives of several ranks; run scaling.sh on 2 ranks or more")
    return document


def main() -> int:
    parser = command_line.Parser("cluster_model.sh")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scaling", type=pathlib.Path)
    what.add_argument("--project", action="store_true")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    if options.output and (options.output.exists() or options.output.is_symlink()):
        die(f"--output: {options.output} exists: give another name, or remove it")
    document = projection.project() if options.project else scaling_document(options.scaling)
    print(projection.markdown_of(document) if options.project else cluster_report.text_of(document))
    if options.output:
        write_json(options.output, document)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        die(str(refused))
