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
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import psutil

from labkit.answer import Answer, Wrong
from labkit.grading.isolation import MB, Level, Limits, answer_folder
from labkit.grading.pipe import Lost, Pipe
from labkit.values import ValueRefused, decode, encode

SETUP_S = 600.0
END_S = 5.0
MOST_WORKERS = 512  # that may wait for the set-up to end
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

    The zygote runs the lab's set-up when the block begins, and the block does not wait for it: the
    first answer does.

    Parameters
    ----------
    setup
        Sources of the lab's set-up cells, in order.
    level
        From `isolation.strongest`.
    limits
        For each answer.
    door
        The `door` of another Sandbox of this machine, made with the same arguments, whose zygote is
        then used: a lab's set-up runs once for all workers. Without it a zygote is started.
    allowed
        What cases may use beside the answer: see `Answer.allows`.

    Attributes
    ----------
    door
        Path of the Unix socket at which the zygote takes other workers, in a folder that only this
        user may enter.
    """

    def __init__(
        self,
        setup: list[str],
        level: Level,
        limits: Limits | None = None,
        door: str = "",
        allowed: Collection[str] = (),
    ) -> None:
        self.level = level
        self.allowed = allowed
        self.limits = limits or Limits()
        self.door = door
        self._setup = setup
        self._open = contextlib.ExitStack()
        self._pipe: Pipe | None = None  # to a zygote of our own, until it has run the set-up

    def __enter__(self) -> Sandbox:
        try:
            self._control = self._connected() if self.door else self._started()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _connected(self) -> socket.socket:
        """A connection to the zygote of another Sandbox."""
        control = self._open.enter_context(socket.socket(socket.AF_UNIX))
        control.connect(self.door)
        return control

    def _started(self) -> socket.socket:
        """A connection to a new zygote, which runs the set-up now."""
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="labkit-zygote-"))  # mode 700
        self.door = str(Path(folder) / "door")
        door = socket.socket(socket.AF_UNIX)
        door.bind(self.door)
        door.listen(MOST_WORKERS)
        door_number = door.fileno()
        ours, theirs = socket.socketpair()
        # Nothing else of the grader's environment, which may hold a password or a token.
        environ = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(NUMERIC)}
        environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
        environ |= {"MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "labkit.grading.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno(), door_number],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environ,
        )
        theirs.close()
        door.close()
        self._open.callback(process.wait)
        self._open.callback(process.kill)  # what it forked dies with it
        self._open.enter_context(ours)
        asked = {"setup": self._setup, "level": self.level, "limits": asdict(self.limits), "door": door_number}
        self._pipe = Pipe(ours)
        self._pipe.send(encode(asked))
        return ours

    def wait(self) -> None:
        """Wait until the set-up has run.

        Raises
        ------
        SetupFailed
            It cannot run here.
        """
        if self._pipe is None:
            return
        try:
            problem = decode(self._pipe.receive(SETUP_S))["error"]
        except Lost as lost:
            problem = str(lost)
        if problem:
            raise SetupFailed(problem)
        self._control.settimeout(None)
        self._pipe = None

    @contextlib.contextmanager
    def answer(self, until: float) -> Iterator[RemoteAnswer]:
        """Start an isolated process; it and all it started are gone when the block ends.

        Parameters
        ----------
        until
            The `time.monotonic()` at which the whole submission must be done.

        Raises
        ------
        SetupFailed
            The lab's set-up cannot run here.
        IsolationFailed
            The process could not isolate itself; nothing of the answer was run.
        """
        self.wait()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
                number = int.from_bytes(self._control.recv(4), "little")
            except OSError:
                number = 0
        if not number:
            ours.close()
            raise SetupFailed("the process that had run the lab's set-up has ended")
        remote = RemoteAnswer(ours, number, self.limits, until, lambda: self.answer(until), self.allowed)
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

    def __init__(
        self,
        end: socket.socket,
        number: int,
        limits: Limits,
        until: float,
        another: Callable[[], AbstractContextManager[RemoteAnswer]],
        allowed: Collection[str] = (),
    ) -> None:
        super().__init__(self._ask_over_there, allowed)
        self._another = another
        self._untouched: RemoteAnswer | None = None
        self._open = contextlib.ExitStack()
        self.lost = ""
        self._limits, self._until = limits, until
        self._pipe = Pipe(end, self._watch)
        self._number = number
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(number)
        self._ended: int | None = None
        with contextlib.suppress(AttributeError, OSError):  # not on this system; ended and collected already
            self._ended = os.pidfd_open(number)

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

    def untouched(self) -> Answer:
        if self._untouched is None or self._untouched.lost:
            self._untouched = self._open.enter_context(self._another())
        return self._untouched

    def end(self) -> None:
        """Kill the process and everything below it, and remove what it left."""
        self._open.close()
        for process in self._below():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._pipe.close()
        with contextlib.suppress(psutil.Error, AttributeError):
            if not self._ends_within(END_S):  # it collects its process 1 and ends, so that no zombie stays
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

    def _ends_within(self, seconds: float) -> bool:
        """Wait for the supervisor to end; without asking again and again where the system can tell."""
        if self._ended is None:
            with contextlib.suppress(psutil.TimeoutExpired):
                self._process.wait(seconds)
                return True
            return False
        try:
            return bool(select.select([self._ended], [], [], seconds)[0])
        finally:
            os.close(self._ended)

    def _below(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error, AttributeError):
            return descendants(self._process)
        return []


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """The processes below one, as psutil finds them.

    psutil reads the parent of every process of the machine. Where the kernel keeps a list of the children
    (Linux with CONFIG_PROC_CHILDREN) only the processes in question are read.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        return process.children(recursive=True)
    found: list[psutil.Process] = []
    waiting = [process.pid]
    while waiting:
        number = waiting.pop()
        with contextlib.suppress(OSError):  # it may end while it is looked at
            for listed in Path(f"/proc/{number}/task").glob("*/children"):
                for child in _children(listed):
                    found.append(child)
                    waiting.append(child.pid)
    return found


def _children(listed: Path) -> list[psutil.Process]:
    """The processes that a thread's list names, without those that have ended since."""
    there: list[psutil.Process] = []
    with contextlib.suppress(OSError):
        for number in listed.read_text().split():
            with contextlib.suppress(psutil.Error):
                there.append(psutil.Process(int(number)))
    return there
