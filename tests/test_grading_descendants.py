"""Who watches an answer's processes is not put off by one that ends while it is looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from labkit.grading import remote

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists() or not list(Path("/proc/self/task").glob("*/children")),
    reason="this system keeps no list of a process's children",
)
WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.mark.parametrize("ends", ["before it is looked up", "before its own children are"])
def test_a_process_that_ends_meanwhile_is_left_out_and_the_others_are_found(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    children = [subprocess.Popen(WAITS, stdin=subprocess.PIPE) for _ in range(3)]
    gone = children[0]

    class Ending(psutil.Process):
        def __init__(self, pid: int) -> None:
            if pid == gone.pid and ends == "before it is looked up":
                _end(gone)
            super().__init__(pid)
            if pid == gone.pid:
                _end(gone)

    try:
        monkeypatch.setattr(remote.psutil, "Process", Ending)
        found = {process.pid for process in remote.descendants(Ending(psutil.os.getpid()))}
        assert {child.pid for child in children[1:]} <= found
    finally:
        for child in children:
            _end(child)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
