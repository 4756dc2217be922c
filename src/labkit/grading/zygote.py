"""A process that has imported the libraries and run a lab's set-up, and forks for each answer.

It runs only trusted code: the set-up cells of the lab as released. Each request comes with a
socket; a fork of this process isolates itself, runs the answer cells and serves that socket as
`labkit.host.Host` does. The checks are not in this process, and their folder is not visible after
the isolation: where the lab's set-up imports them it gets something that does nothing.

Run as `python -m labkit.grading.zygote FD` by `labkit.grading.remote`.
"""

from __future__ import annotations

import contextlib
import io
import os
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
from labkit.grading.isolation import IsolationError, Jail, Limits
from labkit.grading.pipe import Lost, Pipe
from labkit.host import Host
from labkit.values import ValueRefused, decode, encode

CHECKS = "checks"


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
                exec(compile(source, f"<set-up {number}>", "exec"), namespace)
    except BaseException as error:
        pipe.send(encode({"error": f"set-up cell {number}: {type(error).__name__}: {error}"}))
        return
    finally:
        os.chdir("/")
        with contextlib.suppress(OSError):
            Path(home).rmdir()
    limits = Limits(**asked["limits"])
    jail = Jail.for_python(_packages_in_use(), limits)
    pipe.send(encode({"error": None}))
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    with contextlib.suppress(Lost):
        _serve(control, jail, asked["level"], namespace)


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


def _reap() -> None:
    """Collect forks that have ended, so that none stays as a zombie."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _serve(control: socket.socket, jail: Jail, level: str, namespace: dict[str, Any]) -> None:
    """Fork for each socket that arrives; the reply is the process id of what was forked."""
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except InterruptedError:
            continue
        if not message:
            return
        channel = socket.socket(fileno=descriptors[0])
        child = os.fork()
        if child == 0:
            control.close()
            _supervise(channel, jail, level, namespace)
        channel.close()
        control.sendall(child.to_bytes(4, "little"))


def _supervise(channel: socket.socket, jail: Jail, level: str, namespace: dict[str, Any]) -> NoReturn:
    """Outside the new process namespace: start its process 1, and end when that ends.

    Killing this process kills process 1, and the kernel then ends everything in the namespace.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    isolation.die_with_parent()
    isolation.adopt_orphans()
    os.setsid()
    number = os.getpid()
    try:
        if level == "namespaces":
            isolation.separate()
        child = os.fork()
        if child == 0:
            isolation.die_with_parent()
            _answer(channel, jail, level, namespace, number)
        channel.close()
        os.waitpid(child, 0)
    finally:
        os._exit(0)


def _answer(channel: socket.socket, jail: Jail, level: str, namespace: dict[str, Any], number: int) -> NoReturn:
    """Isolate, run the answer cells that the other side names, serve its requests.

    `number` is the supervisor's process id.
    """
    try:
        pipe = Pipe(channel)
        try:
            _only(channel)
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
        for name in ("TMPDIR", "TEMP", "TMP"):
            os.environ[name] = str(folder)
        os.environ["HOME"] = str(folder)
        tempfile.tempdir = None
        pipe.send(encode({"isolated": True, "folder": str(folder)}))
        place = folder / "checks"
        place.mkdir(exist_ok=True)
        spare = _Spare(namespace)
        host = Host(namespace, place, spare.call, is_answer=_is_answer)
        while True:
            request = pipe.receive()
            asked = decode(request)
            if asked["do"] == "run":
                pipe.send(encode(_run_cell(asked["name"], asked["source"], namespace)))
                spare.cells.append([asked["name"], asked["source"]])
            else:
                pipe.send(host.serve(request))
    except Lost:
        pass
    finally:
        os._exit(0)


def _is_answer(filename: str) -> bool:
    return filename.startswith("<answer ")


def _only(channel: socket.socket) -> None:
    """Keep the one socket, with nothing on standard input and output, and no other open file."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    kept = channel.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _run_cell(name: str, source: str, namespace: dict[str, Any]) -> str | None:
    """Run one answer cell; gives its error as text, or None. Tracebacks find the source again."""
    import linecache

    filename = f"<answer {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        with _quiet():
            exec(compile(source, filename, "exec"), namespace)
    except NotImplementedError:
        return None  # a stub; the check says what that means
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:500]
    return None


class _Spare:
    """A process kept from before the answers ran; it forks for each call in a fresh process.

    It lives in the same jail, so files that the answer has written are there and nothing that it
    keeps in memory.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.cells: list[list[str]] = []  # the answer cells that have run, to run again in the fresh process
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            ours.close()
            try:
                _wait_for_calls(Pipe(theirs), namespace)
            finally:
                os._exit(0)
        theirs.close()
        self._pipe = Pipe(ours)

    def call(self, name: str, function: Any, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        try:
            self._pipe.send(encode([self.cells, name, args, kwargs]))
            return self._pipe.receive()
        except (Lost, ValueRefused) as error:
            told = {"kinds": ["ProcessError", "Exception"], "message": str(error), "line": None, "source": ""}
            return encode({"value": None, "error": told, "seconds": 0.0, "printed": ""})


def _wait_for_calls(pipe: Pipe, namespace: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request = pipe.receive()
        if os.fork() == 0:
            try:
                pipe.send(_fresh_reply(request, namespace))
            finally:
                os._exit(0)


def _fresh_reply(request: bytes, namespace: dict[str, Any]) -> bytes:
    """Run the answer cells in this new process, then the call that was asked for."""
    cells, name, args, kwargs = decode(request)
    for cell, source in cells:
        _run_cell(cell, source, namespace)
    host = Host(namespace, Path.cwd(), lambda *_: b"", is_answer=_is_answer)
    return host.run(lambda: namespace[name](*args, **kwargs))


if __name__ == "__main__":
    main()
