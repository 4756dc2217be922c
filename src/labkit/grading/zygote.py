"""A process that has imported the libraries and run a lab's set-up, and forks for each answer.

It runs only trusted code: the set-up cells of the lab as released. Each request comes with a
socket; a fork of this process isolates itself, runs the answer cells and serves that socket as
`labkit.host.Host` does. The checks are not in this process, and their folder is not visible after
the isolation: where the lab's set-up imports them it gets something that does nothing.

Run as `python -m labkit.grading.zygote FD` by `labkit.grading.remote`. The socket FD belongs to the
process that started it; others of the same machine and user, the other workers of a batch, connect
to the listening socket that the first message names. What is forked for one of them ends with its connection.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import select
import signal
import socket
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy  # noqa: F401  imported once, before anything is forked

from labkit.grading import isolation
from labkit.grading.isolation import IsolationError, Jail, Level, Limits
from labkit.grading.pipe import Lost, Pipe
from labkit.host import Host
from labkit.values import ValueRefused, decode, encode

CHECKS = "checks"
ANSWERED = 97  # exit code of a fresh process that has sent its reply; 0 is what an answer that ends itself has


class _NoChecks:
    """Stands for a lab's `lab` where answers run for the grader: every call does nothing."""

    def check(self, *_: Any, **__: Any) -> None:
        return None

    hint = solution = check


class _AbsentModule(types.ModuleType):
    """Stands for `checks` and what lies below it."""

    __path__: list[str] = []  # noqa: RUF012  makes it a package
    lab = _NoChecks()


class _AbsentChecks:
    """Finds every module of `checks` before Python looks for the real one."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        from importlib.machinery import ModuleSpec

        # `checks` and `checks.LAB`, and nothing below, so that any other name is an ImportError.
        inside = name.split(".")[0] == CHECKS and name.count(".") <= 1
        return ModuleSpec(name, self, is_package=True) if inside else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _Sink(io.TextIOBase):
    """Takes what an answer prints and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(_Sink()), contextlib.redirect_stderr(_Sink()):
        yield


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    pipe = Pipe(control)
    asked = decode(pipe.receive())
    sys.meta_path.insert(0, _AbsentChecks())
    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    namespace = main_module.__dict__
    home = tempfile.mkdtemp(prefix="labkit-setup-")
    os.chdir(home)
    try:
        with _quiet():
            for number, source in enumerate(asked["setup"], 1):
                exec(compile(source, f"<set-up {number}>", "exec", dont_inherit=True), namespace)
    except BaseException as error:
        pipe.send(encode({"error": f"set-up cell {number}: {type(error).__name__}: {error}"}))
        return
    finally:
        os.chdir("/")
        with contextlib.suppress(OSError):
            Path(home).rmdir()
    # A collection in a fork writes into the header of every object it looks at, and each page that is
    # written to must be copied first. What is there now is never garbage, so it need not be looked at.
    gc.collect()
    gc.freeze()
    limits = Limits(**asked["limits"])
    jail = Jail.for_python(_packages_in_use(), limits)
    pipe.send(encode({"error": None}))
    with contextlib.suppress(Lost):
        _Zygote(control, socket.socket(fileno=asked["door"]), jail, asked["level"], namespace).serve()


def _packages_in_use() -> list[Path]:
    """Folders of the packages that the set-up has imported from outside Python's own folders.

    Those of the course, that is, which are installed as links to where they lie. The checks are
    not among them.
    """
    names = {name.split(".")[0] for name in sys.modules} - {CHECKS, "__main__"}
    files = [Path(file).resolve() for name in names if (file := getattr(sys.modules.get(name), "__file__", None))]
    inside = [Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix)]
    outside = [file for file in files if not any(file.is_relative_to(folder) for folder in inside)]
    return sorted({file.parent for file in outside if file.name == "__init__.py"})


class _Zygote:
    """Forks for each socket that arrives over a connection; the reply is the process id of what was forked."""

    def __init__(
        self, control: socket.socket, door: socket.socket, jail: Jail, level: Level, namespace: dict[str, Any]
    ) -> None:
        self._control, self._door = control, door
        self._jail, self._level, self._namespace = jail, level, namespace
        self._connections = [control]
        self._owners: dict[int, socket.socket] = {}  # process id of a fork to the connection that asked for it

    def serve(self) -> None:
        """Until the process that started this one is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        while True:
            for ready in select.select([self._door, *self._connections], [], [])[0]:
                if ready is self._door:
                    self._connections.append(ready.accept()[0])
                elif not self._served(ready):
                    if ready is self._control:
                        return
                    self._drop(ready)

    def _served(self, connection: socket.socket) -> bool:
        """Fork for the socket that has arrived; False if the other end is gone."""
        try:
            message, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        except OSError:
            return False
        if not message:
            return False
        channel = socket.socket(fileno=descriptors[0])
        child = os.fork()
        if child == 0:
            for open_here in (self._door, *self._connections):
                open_here.close()
            _supervise(channel, self._jail, self._level, self._namespace)
        self._owners[child] = connection
        channel.close()
        with contextlib.suppress(OSError):
            connection.sendall(child.to_bytes(4, "little"))
        return True

    def _drop(self, connection: socket.socket) -> None:
        """End what was forked for a worker that is gone."""
        self._connections.remove(connection)
        for child in [child for child, owner in self._owners.items() if owner is connection]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        connection.close()

    def _reap(self) -> None:
        """Collect forks that have ended, so that none stays as a zombie."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                self._owners.pop(ended, None)


def _supervise(channel: socket.socket, jail: Jail, level: Level, namespace: dict[str, Any]) -> NoReturn:
    """Outside the new process namespace: start its process 1, and end when that ends.

    Killing this process kills process 1, and the kernel then ends everything in the namespace. This
    process has run nothing of the answer, so what it forks later is as fresh as process 1 was.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the zygote's own would collect process 1
    isolation.die_with_parent()
    isolation.adopt_orphans()
    os.setsid()
    number = os.getpid()
    ours, theirs = socket.socketpair()
    try:
        if level == "namespaces":
            isolation.separate()
        first = os.fork()
        if first == 0:
            isolation.die_with_parent()
            ours.close()
            _answer(channel, jail, level, namespace, number, theirs)
        channel.close()
        theirs.close()
        signal.signal(signal.SIGCHLD, lambda *_: _end_with(first))
        _end_with(first)  # it may have ended before the handler was there
        _fork_for_calls(ours, jail, level, namespace, number)
    finally:
        os._exit(0)


def _end_with(first: int) -> None:
    """End this process if process 1 has ended."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(first, os.WNOHANG)[0]:
            os._exit(0)


def _fork_for_calls(calls: socket.socket, jail: Jail, level: Level, namespace: dict[str, Any], number: int) -> None:
    """Fork for each call in a fresh process: into the jail of process 1, where the files are that it has written.

    The request comes from the answer. It is only looked for here, and read in the fork, in jail.
    """
    while select.select([calls], [], [])[0]:
        fork = os.fork()
        if fork == 0:
            _call_fresh(calls, jail, level, namespace, number)
        if os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) != ANSWERED:
            Pipe(calls).send(_failed("the fresh process ended before it had an answer"))


def _call_fresh(calls: socket.socket, jail: Jail, level: Level, namespace: dict[str, Any], number: int) -> NoReturn:
    """In a fork of the supervisor: go to jail, read the call, do it, answer. The exit code tells whether it did."""
    try:
        isolation.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _only(calls)
        if level == "namespaces":
            isolation.join(jail, number)
        else:
            os.chdir(isolation.answer_folder(number))
            isolation.limit_only(jail)
        _settle(Path.cwd())
        pipe = Pipe(calls)
        pipe.send(_fresh_reply(pipe.receive(), namespace))
        os._exit(ANSWERED)
    finally:
        os._exit(1)


def _answer(
    channel: socket.socket, jail: Jail, level: Level, namespace: dict[str, Any], number: int, calls: socket.socket
) -> NoReturn:
    """Isolate, run the answer cells that the other side names, serve its requests.

    `number` is the supervisor's process id; it forks for what is sent to `calls`.
    """
    try:
        pipe = Pipe(channel)
        try:
            _only(channel, calls)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if level == "namespaces":
                isolation.confine(jail, number)
                folder = Path("/tmp")
            else:
                folder = isolation.answer_folder(number)
                folder.mkdir(mode=0o700)
                os.chdir(folder)
                isolation.limit_only(jail)
        except (IsolationError, OSError) as error:
            pipe.send(encode({"isolated": False, "why": str(error)}))
            return
        _settle(folder)
        pipe.send(encode({"isolated": True, "folder": str(folder)}))
        place = folder / "checks"
        place.mkdir(exist_ok=True)
        fresh = _Fresh(calls)
        host = Host(namespace, place, fresh.call, is_answer=_is_answer)
        while True:
            request = pipe.receive()
            asked = decode(request)
            if asked["do"] == "run":
                pipe.send(encode(_run_cell(asked["name"], asked["source"], namespace)))
                fresh.cells.append([asked["name"], asked["source"]])
            else:
                pipe.send(host.serve(request))
    except Lost:
        pass
    finally:
        os._exit(0)


def _is_answer(filename: str) -> bool:
    return filename.startswith("<answer ")


def _settle(folder: Path) -> None:
    """Make `folder` the place for temporary files and the home."""
    for name in ("TMPDIR", "TEMP", "TMP", "HOME"):
        os.environ[name] = str(folder)
    tempfile.tempdir = None


def _only(*sockets: socket.socket) -> None:
    """Keep these sockets, with nothing on standard input and output, and no other open file."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    start = 3
    for kept in sorted(each.fileno() for each in sockets):
        os.closerange(start, kept)
        start = kept + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _run_cell(name: str, source: str, namespace: dict[str, Any]) -> str | None:
    """Run one answer cell; gives its error as text, or None. Tracebacks find the source again."""
    import linecache

    filename = f"<answer {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        with _quiet():
            exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    except NotImplementedError:
        return None  # a stub; the check says what that means
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:500]
    return None


class _Fresh:
    """Calls in a fresh process, which the supervisor forks: files that the answer has written are there,
    and nothing that it keeps in memory.
    """

    def __init__(self, calls: socket.socket) -> None:
        self.cells: list[list[str]] = []  # the answer cells that have run, to run again in the fresh process
        self._pipe = Pipe(calls)

    def call(self, name: str, function: Any, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        try:
            self._pipe.send(encode([self.cells, name, args, kwargs]))
            return self._pipe.receive()
        except (Lost, ValueRefused) as error:
            return _failed(str(error))


def _failed(why: str) -> bytes:
    told = {"kinds": ["ProcessError", "Exception"], "message": why, "line": None, "source": ""}
    return encode({"value": None, "error": told, "seconds": 0.0, "printed": ""})


def _fresh_reply(request: bytes, namespace: dict[str, Any]) -> bytes:
    """Run the answer cells in this new process, then the call that was asked for."""
    cells, name, args, kwargs = decode(request)
    for cell, source in cells:
        _run_cell(cell, source, namespace)
    host = Host(namespace, Path.cwd(), lambda *_: b"", is_answer=_is_answer)
    return host.run(lambda: namespace[name](*args, **kwargs))


if __name__ == "__main__":
    main()
