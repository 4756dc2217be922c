"""Programs of this machine that a lesson calls, such as curl and node; one line where one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOW_TO_GET = {
    "curl": "Windows and macOS come with it; on Linux `apt install curl`.",
    "node": "The installer of nodejs.org, or `apt install nodejs`.",
}


def find(program: str) -> str | None:
    """The path of a program: beside this Python, where pip puts it, or wherever commands are found; None if missing."""
    return shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)


def output_of(
    program: str, *arguments: str | os.PathLike[str], typed: bytes = b"", patience_s: float = 60.0
) -> bytes | None:
    """Run a program to its end and give what it printed.

    Parameters
    ----------
    program
        Its name, without a path and without `.exe`.
    arguments
        Handed over as they are; no shell reads them.
    typed
        What it finds on its standard input.
    patience_s
        Seconds it may take.

    Returns
    -------
    What it wrote to its standard output. None where the program is not installed; then one line is
    printed that says so and how to get it.

    Raises
    ------
    RuntimeError
        It failed; the message holds its exit code and its last line.
    subprocess.TimeoutExpired
        It was still running after `patience_s` and was ended.
    """
    path = shutil.which(program)
    if path is None:
        print(f"{program} was not found. {HOW_TO_GET.get(program, '')}".rstrip())
        return None
    command = [path, *map(os.fspath, arguments)]
    done = subprocess.run(command, input=typed, capture_output=True, timeout=patience_s, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"{program} ended with {done.returncode}: {last[0]}")
    return done.stdout
