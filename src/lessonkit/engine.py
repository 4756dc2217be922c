"""A container engine, docker or podman, through its command line; whatever is made is removed again.

    engine = find_engine()                     # NoEngine says in one line what is missing
    with engine.scope() as scope:              # removes all that was made in it
        image = scope.build(folder)
        container = scope.start(image, publish=8000)

No shell reads the arguments. Tried with docker 20.10 to 28; podman's differences follow its documentation.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lessonkit.engine_scope import Scope

LABEL = "course"  # on every container, image, volume and network; its value tells one scope from another
ANSWERS_IN_S = 30.0
ADVICE = ("Run '", "See '")  # how docker begins a last line that says nothing about what went wrong
HOW_TO_GET = "Docker Desktop from docker.com, podman from podman.io, or `apt install docker.io`."


class NoEngine(RuntimeError):
    """No container engine can be used; the message is one line: why, and what to do."""


class EngineError(RuntimeError):
    """The engine refused a command; the message holds the command's first words and its last line."""


class BuildFailed(EngineError):
    """An image was not built.

    Attributes
    ----------
    step
        The instruction that failed, such as `RUN pip install ...`; empty where none was reached.
    lines
        The last lines that it wrote.
    log
        Everything the build wrote.
    """

    def __init__(self, step: str, lines: Sequence[str], log: str) -> None:
        super().__init__("\n".join([step or "the build did not begin", *lines]))
        self.step, self.lines, self.log = step, list(lines), log


@dataclass(frozen=True)
class Done:
    """A command of the engine that has ended; `seconds` is how long it took."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def last_line(self) -> str:
        """The last line of what it complained of, or else of what it printed."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        lines = [line for line in lines if not line.startswith(ADVICE)] or lines
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


@dataclass(frozen=True)
class Engine:
    """A container engine that answers.

    Attributes
    ----------
    program
        The path of its command.
    name
        docker or podman.
    version
        The engine's version, not that of its command.
    """

    program: str
    name: str
    version: str

    def run(
        self,
        *args: str | os.PathLike[str],
        timeout_s: float = 120.0,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        on_start: Callable[[int, str], object] | None = None,
    ) -> Done:
        """Run one of its commands to its end, whatever that is.

        Parameters
        ----------
        args
            The words after `docker`, handed over as they are.
        timeout_s
            Seconds it may take.
        input
            What it finds on its standard input, which is empty by default.
        env
            Variables to set for the command beside those of this process.
        on_start
            Called with the command's process id and "+" when it begins, "-" when it has ended.

        Raises
        ------
        TimeoutError
            It was still running then, and was ended. What the engine does on its behalf may go on; the
            scope removes it.
        """
        typed = input.encode() if isinstance(input, str) else input
        started = time.perf_counter()
        process = subprocess.Popen(
            [self.program, *map(os.fspath, args)],
            stdin=subprocess.DEVNULL if typed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(env),
        )
        with process:
            try:
                if on_start:
                    on_start(process.pid, "+")
                stdout, stderr = process.communicate(typed, timeout_s)
            except BaseException as error:
                process.kill()
                process.communicate()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise TimeoutError(f"{self._words(args)} did not end within {timeout_s:g} s") from None
                raise
            finally:
                if on_start:
                    on_start(process.pid, "-")
        seconds = time.perf_counter() - started
        return Done(process.returncode, _text(stdout), _text(stderr), seconds)

    def check(self, *args: str | os.PathLike[str], timeout_s: float = 120.0, input: str | bytes | None = None) -> str:
        """What a command that must succeed prints, without blanks at its ends.

        Raises
        ------
        EngineError
            It failed.
        """
        done = self.run(*args, timeout_s=timeout_s, input=input)
        if done.returncode:
            raise EngineError(f"{self._words(args)} ended with {done.returncode}: {done.last_line}")
        return done.stdout.strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """All the engine knows of a container, image, network or volume, by its id or name."""
        return json.loads(self.check(kind, "inspect", name))[0]

    def has_image(self, name: str) -> bool:
        """Whether an image is on this machine, so that nothing has to be fetched."""
        return self.run("image", "inspect", name).returncode == 0

    @cached_property
    def has_compose(self) -> bool:
        """Whether `docker compose` is there, which is a part of its own."""
        return self.run("compose", "version").returncode == 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[Scope]:
        """A place to make containers, images, volumes and networks, all removed after the block.

        They are also removed when the block raises and when this process is killed.
        """
        from lessonkit.engine_scope import opened  # which imports this module

        with opened(self) as scope:
            yield scope

    def labelled(self, value: str) -> dict[str, list[str]]:
        """The ids of what carries a scope's label, or was made by compose for it, in the order to remove it."""
        found: dict[str, list[str]] = {"container": [], "network": [], "volume": [], "image": []}
        for kind, ids in found.items():
            every = ["--all"] if kind == "container" else []
            for label in (f"{LABEL}={value}", f"com.docker.compose.project={value}"):
                listed = self.check(kind, "ls", *every, "--quiet", "--filter", f"label={label}")
                ids.extend(id_ for id_ in dict.fromkeys(listed.split()) if id_ not in ids)
        return found

    def remove(self, value: str) -> dict[str, list[str]]:
        """Remove what carries a scope's label; what is left, which should be nothing."""
        for kind, ids in self.labelled(value).items():
            options = {"container": ["--force", "--volumes"], "network": []}.get(kind, ["--force"])
            if ids:
                self.run(kind, "rm", *options, *ids, timeout_s=300)
        return self.labelled(value)

    def _words(self, args: Sequence[str | os.PathLike[str]]) -> str:
        return " ".join([self.name, *map(os.fspath, args[:2])])


def find_engine(names: Sequence[str] = ("docker", "podman")) -> Engine:
    """The first of docker and podman that is installed and answers.

    Raises
    ------
    NoEngine
        There is none; the one line says for the first that is installed what is wrong with it.
    """
    reasons = []
    for name in names:
        program = shutil.which(name)
        if program is None:
            continue
        found = _ask(program, name)
        if isinstance(found, Engine):
            return found
        reasons.append(found)
    if reasons:
        raise NoEngine(reasons[0])
    raise NoEngine(f"No container engine: neither {' nor '.join(names)} is installed. {HOW_TO_GET}")


def _ask(program: str, name: str) -> Engine | str:
    """The engine behind a command, or why it cannot be used."""
    engine = Engine(program, name, "")
    try:
        if "podman" in engine.run("--version", timeout_s=ANSWERS_IN_S).stdout.lower():
            name = "podman"  # also where it answers to docker's name
        form = "{{.Version.Version}}" if name == "podman" else "{{.ServerVersion}}"
        done = engine.run("info", "--format", form, timeout_s=ANSWERS_IN_S)
    except TimeoutError:
        return f"{name} is installed, its engine did not answer within {ANSWERS_IN_S:g} s. {_start(name)}"
    except OSError as error:
        return f"{name} is installed and cannot be run: {error.strerror}. {HOW_TO_GET}"
    version = done.stdout.strip()
    # `docker info` also succeeds without a daemon, and then says so on its error output.
    if done.returncode == 0 and version[:1].isdigit():
        return Engine(program, name, version)
    if "permission denied" in done.stderr.lower():
        return (
            f"{name} is installed, this user may not talk to its engine. Join its group"
            " (`sudo usermod -aG docker $USER`, then log in again), or use podman, which needs none."
        )
    return f"{name} is installed, its engine is not running. {_start(name)}"


def _start(name: str) -> str:
    if name == "podman":
        return "Run `podman machine start` on Windows and macOS; see `podman info` on Linux."
    return "Start Docker Desktop, or run `sudo systemctl start docker`."


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    # BuildKit is the builder that knows secrets; a record of how an image was made would become part of it.
    ours = {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "DOCKER_CLI_HINTS": "false"}
    return {**os.environ, **ours, **(env or {})}


def _text(written: bytes) -> str:
    return written.decode("utf-8", errors="replace").replace("\r\n", "\n")
