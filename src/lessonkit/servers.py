"""Servers for the length of a `with` block: on a free port of 127.0.0.1, awaited until they answer, ended for sure."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
LOOK_S = 0.02  # between two looks whether a server answers
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ORT_DISABLE_TELEMETRY"), "1")
SERVING = re.compile(r"^serving http://127\.0\.0\.1:(\d+)\s*$", re.M)


class ServerFailed(RuntimeError):
    """A server did not start; the message holds the last lines that it wrote."""


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes
    ----------
    port, pid
        Where it listens, and the process of its command, which may have others below it.
    log
        The file with everything it writes to its output and its errors.
    """

    port: int
    pid: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def written(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serving(
    command: Sequence[str | os.PathLike[str]],
    ready_path: str = "/",
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    cores: Sequence[int] | None = None,
    patience_s: float = 60.0,
    stop_s: float = 5.0,
) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it with all its processes after the block.

    It is also ended when the block raises and when this process is killed.

    Parameters
    ----------
    command
        Its words; `{port}` in one of them becomes the number of a free port.
    ready_path
        The server is ready once a GET of this path is answered with a status below 400.
    env
        Variables to set for it beside those of this process; None takes one away. Numeric libraries get
        one thread each where neither says otherwise.
    cwd
        The folder it runs in.
    cores
        Cores it may use, see `lessonkit.cores.split`; ignored on macOS, which has no call for it.
    patience_s
        Seconds until it has to answer.
    stop_s
        Seconds it is given to end by itself.

    Raises
    ------
    ServerFailed
        It ended, or did not answer in time.
    """
    port = free_port()
    words = [os.fspath(word).replace("{port}", str(port)) for word in command]
    with _started(words, env, cwd, cores, stop_s) as (guard, pid, log):
        server = Server(port, pid, log)
        _wait(guard, server, patience_s, lambda: _answers(port, ready_path))
        yield server


@contextlib.contextmanager
def flight_delays(
    bundle: str | os.PathLike[str],
    workers: int = 1,
    *,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    cores: Sequence[int] | None = None,
    patience_s: float = 60.0,
) -> Iterator[Server]:
    """The flight-delay service on a bundle, for the length of the block.

    Parameters
    ----------
    bundle
        The folder of the bundle, which becomes the champion where there is none yet.
    workers
        Processes that answer.
    state
        The folder in which versions, champion and prediction log live on; by default one that goes with the block.
    env
        Its settings, FLIGHT_DELAYS_..., beside the variables of this process.
    cores, patience_s
        As in `serving`.

    Raises
    ------
    ServerFailed
        It ended, or was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        if state is None:
            state = stack.enter_context(_temporary_folder())
        command = [sys.executable, "-m", "flight_delays", "serve", os.fspath(bundle), "--state", os.fspath(state)]
        command += ["--port", "0", "--workers", str(workers)]
        guard, pid, log = stack.enter_context(_started(command, env, None, cores, 5.0))
        server = Server(0, pid, log)
        _wait(guard, server, patience_s, lambda: SERVING.search(server.written()))
        yield Server(int(SERVING.search(server.written()).group(1)), pid, log)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _started(
    command: list[str],
    env: Mapping[str, str | None] | None,
    cwd: str | os.PathLike[str] | None,
    cores: Sequence[int] | None,
    stop_s: float,
) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """The process that guards the command, the command's process id, the file with what it writes."""
    allowed = ",".join(map(str, cores)) if cores else "any"
    # -P: a module in the folder it starts in must not stand in for one of Python's.
    guarded = [sys.executable, "-P", "-m", "lessonkit.guard", allowed, str(stop_s), *command]
    wanted = {**ONE_THREAD, **os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
    environ = {name: value for name, value in wanted.items() if value is not None}
    with _temporary_folder() as folder:
        log = folder / "log.txt"
        with log.open("wb") as file:
            # In a session of its own, so that an interrupt meant for a cell does not end the server.
            guard = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environ,
                cwd=cwd,
                start_new_session=True,
            )
        try:
            pid = guard.stdout.readline().strip()
            if not pid:
                raise ServerFailed(_told(command[0], "did not start", log))
            yield guard, int(pid), log
        finally:
            guard.stdin.close()  # the guard waits for this
            guard.wait(stop_s + 30)
            guard.stdout.close()


def _wait(guard: subprocess.Popen[str], server: Server, patience_s: float, ready: Callable[[], object]) -> None:
    """Look again and again whether the server is ready."""
    until = time.monotonic() + patience_s
    while not ready():
        if guard.poll() is not None:
            raise ServerFailed(_told("the server", f"ended with {guard.returncode} before it answered", server.log))
        if time.monotonic() > until:
            raise ServerFailed(_told("the server", f"did not answer within {patience_s:g} s", server.log))
        time.sleep(LOOK_S)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _told(who: str, what: str, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-12:]
    return "\n".join([f"{who} {what}" + ("; its last lines:" if lines else " and wrote nothing"), *lines])


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    # On Windows a file that a killed process had open may still be held for a moment.
    with tempfile.TemporaryDirectory(prefix="lesson-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()
