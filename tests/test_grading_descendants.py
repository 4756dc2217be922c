"""Who watches an answer's processes is not put off by one that ends while it is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit.grading import remote

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists() or not list(Path("/proc/self/task").glob("*/children")),
    reason="this system keeps no list of a process's children",
)
WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(WAITS, stdin=subprocess.PIPE) for _ in range(3)]
    yield started
    for child in started:
        _end(child)


def test_one_that_ends_before_it_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[bytes]]
) -> None:
    class Ending(psutil.Process):
        def __init__(self, pid: int) -> None:
            if pid == children[0].pid:
                _end(children[0])
            super().__init__(pid)

    monkeypatch.setattr(remote.psutil, "Process", Ending)
    found = {process.pid for process in remote.descendants(Ending(os.getpid()))}
    assert {child.pid for child in children[1:]} <= found and children[0].pid not in found


def test_one_that_ends_while_its_threads_are_listed(
    monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[bytes]]
) -> None:
    """`glob` asks whether the folder is there, then lists it; the process may end in between."""
    glob = Path.glob

    def ending(self: Path, pattern: str) -> Iterator[Path]:
        if str(children[0].pid) in self.parts:
            raise FileNotFoundError(str(self))
        return glob(self, pattern)

    monkeypatch.setattr(Path, "glob", ending)
    found = {process.pid for process in remote.descendants(psutil.Process())}
    assert {child.pid for child in children[1:]} <= found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
