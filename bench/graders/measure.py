"""Wall time, CPU time and memory of a command with everything it starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.2
END_S = 20.0
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER, of linux/prctl.h


class Failed(RuntimeError):
    """A command that was to be measured failed; the text is the end of what it printed."""


@dataclass
class Cost:
    """What some commands took together: seconds of wall time and of CPU time, and the peak of memory in MB.

    Memory is the sum over all processes alive at once, a page that several of them share divided
    among them (proportional set size), where the system tells it, else of their resident sets.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0


def adopt_orphans() -> None:
    """Have processes that lose their parent below this one become its children, so that their CPU time is counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def run(
    commands: Sequence[Sequence[str]], folder: Path, environ: Mapping[str, str], log: Path, limit_s: float = 3600
) -> Cost:
    """Run commands one after another and measure them together, until nothing that they started is left.

    The process that calls this must have no other child.

    Raises
    ------
    Failed
        A command failed or they took longer than `limit_s` together.
    """
    adopt_orphans()
    with _sampled() as cost, log.open("w", encoding="utf-8") as file:
        started, before = time.perf_counter(), _children_cpu()
        for command in commands:
            process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
            try:
                code = process.wait(max(1.0, limit_s - (time.perf_counter() - started)))
            except BaseException as error:
                _end_all()
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Failed(f"{command[:4]} was stopped: the limit is {limit_s:.0f} s") from error
                raise
            if code:
                break
        cost.seconds = time.perf_counter() - started
        _wait_for_orphans()
        cost.cpu_s = _children_cpu() - before
    if code:
        raise Failed(f"{' '.join(command)} ended with {code}:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return cost


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _wait_for_orphans() -> None:
    """Collect what the commands left behind; what has not ended after a while is killed."""
    until = time.monotonic() + END_S
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    _end_all()
                time.sleep(0.02)


def _end_all() -> None:
    for process in _below():
        with contextlib.suppress(psutil.Error):
            process.kill()


@contextlib.contextmanager
def _sampled() -> Iterator[Cost]:
    """A Cost whose peak grows while the block runs."""
    cost, ended = Cost(), threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            cost.peak_mb = max(cost.peak_mb, sum(map(_memory, _below())) / 2**20)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield cost
    finally:
        ended.set()
        thread.join()


def _memory(process: psutil.Process) -> int:
    """Bytes of a process; 0 if it is gone."""
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123  read every 0.2 s
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        with contextlib.suppress(psutil.Error):
            return process.memory_info().rss
    return 0
