"""The command `labkit`: build, run, grade, export, progress."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from labkit import places
from labkit.build import BuildError, build, differences
from labkit.progress import Progress, table


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0, or 1 with a line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(prog="labkit", description="Build the course's labs, show your progress.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="write labs/ out of solutions/")
    building.add_argument(
        "--check", action="store_true", help="write nothing; fail if labs/ is not what solutions/ gives"
    )
    running = commands.add_parser("run", help="run notebooks in a fresh kernel and store their outputs")
    running.add_argument("notebooks", nargs="+", type=Path)
    commands.add_parser("progress", help="show which exercises are correct")
    grading = commands.add_parser("grade", help="grade submissions of a lab, none of them trusted")
    grading.add_argument("lab", help="the lab's name: that of its folder in labs/")
    grading.add_argument("submissions", type=Path, help="a folder or a zip of what students handed in")
    grading.add_argument("--out", type=Path, required=True, help="the folder for gradebook and feedback")
    grading.add_argument("--workers", type=int, default=os.cpu_count(), help="processes on this machine")
    grading.add_argument("--scheduler", help="address of a Dask scheduler, to grade on its cluster instead")
    grading.add_argument("--seed", type=int, default=1, help="draws the inputs of the checks (default 1)")
    grading.add_argument(
        "--require-isolation", action="store_true", help="grade nothing unless namespaces isolate the answers"
    )
    grading.add_argument(
        "--engine", action="store_true", help="let checks build and run answers in containers: see docs/instructor.md"
    )
    exporting = commands.add_parser("export", help="turn gradebook.json into what Moodle, Canvas or nbgrader takes")
    exporting.add_argument("to", choices=["moodle", "canvas", "nbgrader"])
    exporting.add_argument("gradebook", type=Path, help="the gradebook.json that labkit grade wrote")
    exporting.add_argument("--out", required=True, help="the CSV to write; for nbgrader its database's URL")
    exporting.add_argument("--roster", type=Path, help="a CSV that tells who a student is in the LMS")
    exporting.add_argument("--key", default="student", help="the roster's column with the submission's student")
    options = parser.parse_args(argv)
    if options.command == "export":
        from labkit.grading.command import export_command

        return export_command(options)
    root = places.course_root()
    if root is None:
        print("labkit: run this inside the course's folder (it holds labs/ and environment.yml)", file=sys.stderr)
        return 1
    if options.command == "build":
        return _build(root, options.check)
    if options.command == "run":
        return _run(options.notebooks)
    if options.command == "grade":
        from labkit.grading.command import grade_command

        return grade_command(root, options)
    print(table(root, Progress()))
    return 0


def _run(paths: list[Path]) -> int:
    from nbclient.exceptions import CellExecutionError

    from labkit.run import run

    for path in paths:
        try:
            run(path)
        except FileNotFoundError:
            print(f"labkit: there is no notebook {path}", file=sys.stderr)
            return 1
        except CellExecutionError as error:
            print(f"labkit: {path} is left as it was, a cell failed:\n{error}", file=sys.stderr)
            return 1
        print(f"{path}: run and stored")
    return 0


def _build(root: Path, check: bool) -> int:
    try:
        if check:
            found = differences(root)
            print("\n".join(found) if found else "labs/ is what solutions/ gives")
            return 1 if found else 0
        for path in build(root):
            print(path.relative_to(root).as_posix())
    except BuildError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
