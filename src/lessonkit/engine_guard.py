"""A process that removes what a scope has made, and its temporary folder, if the process that opened the scope is gone.

The system closes the pipe on its input when whoever holds the other end has ended, also by `kill -9`.

    python -m lessonkit.engine_guard PROGRAM NAME LABEL-VALUE FOLDER

On its input: `+PID` and `-PID` for each command of the engine that begins and ends, `done` once all is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys

from lessonkit.engine import Engine, EngineError


def main() -> int:
    program, name, value, folder = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is meant for the notebook
    building: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word == "done":
            return 0
        (building.add if word[0] == "+" else building.discard)(int(word[1:]))
    for pid in building:  # else a build would go on and leave an image behind
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(EngineError, TimeoutError):
        Engine(program, name, "").remove(value)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
