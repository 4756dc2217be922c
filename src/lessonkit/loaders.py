"""What a model costs in memory when several processes have loaded it with the same function."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import psutil

from lessonkit.measure import own_memory


def memory_of_loaders(load: Callable[[str], Any], folder: str | Path, processes: int = 3) -> list[float]:
    """Megabytes by which each of some processes grows when all of them call `load(folder)`.

    The processes run at the same time and read every number of the model before they are
    measured, since a mapped page is in memory only once it was read.

    Parameters
    ----------
    load
        Gives a `lessonkit.interactions.Recommender`. It may be a function of a notebook.
    folder, processes
        What to load, and in how many processes.

    Raises
    ------
    RuntimeError
        A process ended instead; the message holds its last line.
    NotImplementedError
        `load` is not written yet.
    """
    command = [sys.executable, "-m", "lessonkit.loaders"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, **pipes) for number in range(processes)]
    try:
        before = _when_all_say(b"ready", started)
        for process in started:
            process.stdin.write(cloudpickle.dumps((load, str(folder))))
            process.stdin.flush()
        after = _when_all_say(b"loaded", started)
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return [end - start for start, end in zip(before, after, strict=True)]


def _when_all_say(word: bytes, started: list[subprocess.Popen]) -> list[float]:
    for process in started:
        if process.stdout.readline().strip() != word:
            last = process.stderr.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            if last[0] == "NotImplementedError":
                raise NotImplementedError("a function that loads the model is not written yet: it comes first")
            raise RuntimeError(f"a process that was to load the model ended: {last[0]}")
    return [own_memory(psutil.Process(process.pid)) for process in started]


def main() -> None:
    import lessonkit.interactions  # noqa: F401  what a load imports anyway is not the model's memory

    print("ready", flush=True)
    load, folder = cloudpickle.load(sys.stdin.buffer)
    model = load(folder)
    model.user_factors.sum(), model.seen.data.sum(), model.seen.indices.max()
    print("loaded", flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
