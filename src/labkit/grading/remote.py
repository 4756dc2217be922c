"""The check's side of an answer that runs in an isolated process.

    with Sandbox(setup, level) as sandbox, sandbox.answer(until) as answer:
        answer.run_cell("save", source)
        lab.judge("save", answer, seed)

What comes from over there is read by `labkit.values` and never trusted: it is bytes with a bound,
and it can be forged only into values, which the check compares with what it computes itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

import psutil

from labkit.answer import Answer, Wrong
from labkit.grading.isolation import MB, Level, Limits, answer_folder
from labkit.grading.pipe import Lost, Pipe
from labkit.values import ValueRefused, decode, encode

SETUP_S = 600.0
END_S = 5.0
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
# What decides the last digits of a sum, which must be the same on both sides.
NUMERIC = ("OPENBLAS_", "OMP_", "MKL_", "NPY_", "KMP_")
STOPPED = "Your answer's process was stopped: {why}."


class SetupFailed(RuntimeError):
    """The lab's own set-up cannot run here; the text names the cell."""


class IsolationFailed(RuntimeError):
    """A process could not isolate itself as asked; nothing of the answer was run."""


class Sandbox:
    """Holds the zygote of one lab and starts isolated answers from it.

    Parameters
    ----------
    setup
        Sources of the lab's set-up cells, in order.
    level
        From `isolation.strongest`.
    limits
        For each answer.
    """

    def __init__(self, setup: list[str], level: Level, limits: Limits | None = None) -> None:
        self.level = level
        self.limits = limits or Limits()
        self._asked = {
            "setup": setup,
            "level": level,
            "limits": asdict(self.limits),
        }
        self._process: subprocess.Popen | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Sandbox:
        ours, theirs = socket.socketpair()
        # Nothing else of the grader's environment, which may hold a password or a token.
        environ = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(NUMERIC)}
        environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
        environ |= {"MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labkit.grading.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environ,
        )
        theirs.close()
        self._control = ours
        try:
            pipe = Pipe(ours)
            pipe.send(encode(self._asked))
            problem = decode(pipe.receive(SETUP_S))["error"]
        except Lost as lost:
            problem = str(lost)
        if problem:
            self.__exit__()
            raise SetupFailed(problem)
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.kill()  # what it forked dies with it
        self._process.wait()

    @contextlib.contextmanager
    def answer(self, until: float) -> Iterator[RemoteAnswer]:
        """Start an isolated process; it and all it started are gone when the block ends.

        Parameters
        ----------
        until
            The `time.monotonic()` at which the whole submission must be done.

        Raises
        ------
        IsolationFailed
            The process could not isolate itself; nothing of the answer was run.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            number = int.from_bytes(self._control.recv(4), "little")
        remote = RemoteAnswer(ours, number, self.limits, until)
        try:
            remote.wait_until_isolated()
            yield remote
        finally:
            remote.end()


class RemoteAnswer(Answer):
    """An answer in an isolated process.

    Attributes
    ----------
    lost
        Why the process is no longer there, or "". Every request then raises Wrong.
    """

    def __init__(self, end: socket.socket, number: int, limits: Limits, until: float) -> None:
        super().__init__(self._ask_over_there)
        self.lost = ""
        self._limits, self._until = limits, until
        self._pipe = Pipe(end, self._watch)
        self._number = number
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(number)

    def wait_until_isolated(self) -> None:
        """Read what the process says of its isolation, before it knows anything of the answer."""
        try:
            told = decode(self._pipe.receive(self._left()))
        except Lost as lost:
            raise IsolationFailed(str(lost)) from lost
        if not told["isolated"]:
            raise IsolationFailed(str(told["why"]))

    def run_cell(self, name: str, source: str) -> str:
        """Run one answer cell; gives the error it raised, or "".

        Raises
        ------
        Wrong
            The process was lost while the cell ran; `lost` says why.
        """
        reply = self._ask_over_there(encode({"do": "run", "name": name, "source": source}))
        with contextlib.suppress(ValueRefused):
            error = decode(reply)
            return str(error)[:500] if error else ""
        return "it answered with something that nobody can read"

    def end(self) -> None:
        """Kill the process and everything below it, and remove what it left."""
        for process in self._below():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._pipe.close()
        with contextlib.suppress(psutil.Error, AttributeError):
            try:
                self._process.wait(END_S)  # it collects its process 1 and ends, so that no zombie stays
            except psutil.TimeoutExpired:
                self._process.kill()
        shutil.rmtree(answer_folder(self._number), ignore_errors=True)

    def _ask_over_there(self, request: bytes) -> bytes:
        if not self.lost:
            try:
                self._pipe.send(request, self._left())
                return self._pipe.receive(self._left())
            except Lost as lost:
                self.lost = str(lost)
        raise Wrong(STOPPED.format(why=self.lost))

    def _left(self) -> float:
        """Seconds that the next step may take."""
        return max(0.5, min(self._limits.wall_s, self._until - time.monotonic()))

    def _watch(self) -> None:
        """Give up on an answer whose processes together are too many or too large."""
        below = self._below()
        if len(below) > self._limits.processes:
            raise Lost(f"it started more than {self._limits.processes} processes")
        private = 0
        for process in below:
            with contextlib.suppress(psutil.Error, OSError):
                memory = process.memory_info()
                private += memory.rss - memory.shared if hasattr(memory, "shared") else memory.rss
        if private > 2 * self._limits.memory_mb * MB:
            raise Lost(f"its processes together took more than {2 * self._limits.memory_mb} MB")

    def _below(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error, AttributeError):
            return self._process.children(recursive=True)
        return []
