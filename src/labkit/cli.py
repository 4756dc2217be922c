"""The command `labkit`: build, run, progress."""

from __future__ import annotations

import argparse
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
    options = parser.parse_args(argv)
    root = places.course_root()
    if root is None:
        print("labkit: run this inside the course's folder (it holds labs/ and environment.yml)", file=sys.stderr)
        return 1
    if options.command == "build":
        return _build(root, options.check)
    if options.command == "run":
        return _run(options.notebooks)
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
