"""Measure time and memory in a way that a noisy machine upsets least."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

MB = 2**20


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The shortest of some runs of `work`, in seconds.

    Other programs can only make a run longer, so the shortest is nearest to what the work itself
    costs (the reasoning of Python's own `timeit`).
    """
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


@contextlib.contextmanager
def readers(path: Path, mapped: bool, processes: int) -> Iterator[list[psutil.Process]]:
    """Start processes that each load a joblib file and read every number in it; end them afterwards.

    Yields the processes once all of them have read everything.

    Raises
    ------
    RuntimeError
        A process ended instead; the message holds its last line.
    """
    command = [sys.executable, "-m", "lessonkit.reader", str(path), "map" if mapped else "copy"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for process in started:
            if process.stdout.readline().strip() != "ready":
                last = process.stderr.read().strip().splitlines()[-1:]
                raise RuntimeError(f"a reader of {path.name} ended: {last}")
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.stdin.close()  # the reader waits for this
            process.wait(timeout=30)
            process.stdout.close()
            process.stderr.close()


def own_memory(process: psutil.Process) -> float:
    """Megabytes that a process takes from the machine.

    On Linux its proportional set size: a page that four processes share counts a quarter for each.
    Elsewhere its unique set size, which leaves shared pages out.
    """
    info = process.memory_full_info()
    return getattr(info, "pss", info.uss) / MB


def memory_of_readers(path: Path, mapped: bool, processes: int) -> list[float]:
    """Megabytes taken by each of some processes that have loaded the same joblib file."""
    with readers(path, mapped, processes) as running:
        return [own_memory(process) for process in running]
