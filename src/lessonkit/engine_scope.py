"""What a scope makes: images, containers, volumes, networks, each labelled, all removed at its end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from lessonkit.engine import LABEL, Done, Engine, EngineError, NoEngine
from lessonkit.engine_build import Image, failure, read_log
from lessonkit.engine_events import Watch, watched

HOST = "127.0.0.1"
Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Health:
    """How the engine finds out whether a container is well.

    Attributes
    ----------
    command
        Run in the container; exit code 0 means well.
    interval_s, timeout_s, retries, start_s
        Seconds between two looks, seconds a look may take, failures in a row until it is unhealthy, and
        seconds at the start in which failures do not count.
    """

    command: str
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_s: float = 0.0

    def options(self) -> list[str]:
        """As options of `docker run`."""
        return [
            f"--health-cmd={self.command}",
            f"--health-interval={round(1000 * self.interval_s)}ms",
            f"--health-timeout={round(1000 * self.timeout_s)}ms",
            f"--health-retries={self.retries}",
            f"--health-start-period={round(1000 * self.start_s)}ms",
        ]


@dataclass(frozen=True)
class State:
    """How a container is.

    Attributes
    ----------
    status
        created, running, restarting, exited ...
    exit_code
        Of its process; 0 while it runs.
    out_of_memory
        Whether the kernel killed a process of it at its memory limit.
    health
        starting, healthy or unhealthy; empty without a health check.
    pid
        Its first process in the host's table; 0 when it does not run.
    restarts
        How often its restart policy has started it again.
    """

    status: str
    exit_code: int
    out_of_memory: bool
    health: str
    pid: int
    restarts: int

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class Stopped:
    """How a container stopped: its exit code, seconds, and whether it had to be killed (exit code 137)."""

    exit_code: int
    seconds: float
    killed: bool

    def __iter__(self) -> Iterator[Any]:
        return iter((self.exit_code, self.seconds, self.killed))


@dataclass(frozen=True)
class Container:
    """A container that was started, and may have ended since."""

    engine: Engine
    id: str
    published: int | None = None

    @property
    def url(self) -> str:
        """Where its published port answers on this machine, as long as it runs; it changes with each start.

        Raises
        ------
        EngineError
            It does not run, or publishes no port.
        """
        if self.published is None:
            raise EngineError("this container publishes no port")
        said = self.engine.check("port", self.id, f"{self.published}/tcp")
        return f"http://{HOST}:{said.splitlines()[0].rpartition(':')[2]}"

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it."""
        return self.engine.inspect("container", self.id)

    def state(self) -> State:
        """How it is at this moment."""
        known = self.inspect()
        state = known["State"]
        health = state.get("Health") or state.get("Healthcheck") or {}
        return State(
            status=state["Status"],
            exit_code=state["ExitCode"],
            out_of_memory=state["OOMKilled"],
            health=health.get("Status", ""),
            pid=state["Pid"],
            restarts=known["RestartCount"],
        )

    def exec(self, *args: str, user: str | None = None, timeout_s: float = 120.0) -> Done:
        """Run a command in it, beside its first process."""
        return self.engine.run("exec", *(["--user", user] if user else []), self.id, *args, timeout_s=timeout_s)

    def logs(self) -> str:
        """What it has written to its output, then what to its errors."""
        done = self.engine.run("logs", self.id)
        return done.stdout + done.stderr

    def wait_for_log(self, text: str, timeout_s: float = 120.0) -> None:
        """Wait until it has written a line that holds this text.

        Raises
        ------
        EngineError
            It ended without having written it.
        TimeoutError
            It had not written it in time.
        """
        command = [self.engine.program, "logs", "--follow", self.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            timer = threading.Timer(timeout_s, process.kill)
            timer.start()
            try:
                if any(text.encode() in line for line in process.stdout):
                    return
            finally:
                late = not timer.is_alive()
                timer.cancel()
                process.kill()
        if late:
            raise TimeoutError(f"it did not write {text!r} within {timeout_s:g} s")
        raise EngineError(f"it ended before it wrote {text!r}: {self.logs().strip()[-300:]}")

    def top(self) -> list[dict[str, str]]:
        """Its processes as the host sees them: `pid`, `user` and `command`.

        On Windows and macOS the host is the virtual machine in which the engine runs.
        """
        wanted = ["hpid", "huser", "args"] if self.engine.name == "podman" else ["-eo", "pid,user:20,args"]
        lines = self.engine.check("top", self.id, *wanted).splitlines()[1:]
        return [dict(zip(("pid", "user", "command"), line.split(maxsplit=2), strict=True)) for line in lines]

    def wait(self, timeout_s: float = 120.0) -> int:
        """Wait until it has ended, and give its exit code.

        Raises
        ------
        TimeoutError
            It still ran then.
        """
        return int(self.engine.check("wait", self.id, timeout_s=timeout_s))

    def wait_healthy(self, timeout_s: float = 120.0) -> None:
        """Wait until its health check has succeeded.

        Raises
        ------
        EngineError
            It has no health check, or ended before.
        TimeoutError
            It was not healthy in time.
        """
        known = self.inspect()
        if not known["Config"].get("Healthcheck"):
            raise EngineError("this container has no health check")
        label = known["Config"]["Labels"][LABEL]
        # From its creation on: what has happened before this call is told as well.
        with watched(self.engine, f"{LABEL}={label}", known["Created"]) as watch:
            ends = ("healthy", "die")
            event = watch.wait(lambda event: event.container == self.id and event.what in ends, timeout_s)
        if event.what == "die":
            raise EngineError(f"it ended with {event.detail} before it was healthy: {self.logs().strip()[-300:]}")

    def start(self) -> None:
        """Start it once more after it has ended, with all that it has written."""
        self.engine.check("start", self.id)

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to its first process."""
        self.engine.check("kill", "--signal", signal, self.id)

    def stop(self, patience_s: int = 10) -> Stopped:
        """Ask it to stop (SIGTERM, or what its image names), and have it killed after some seconds."""
        done = self.engine.run("stop", "--time", str(patience_s), self.id, timeout_s=patience_s + 120)
        if done.returncode:
            raise EngineError(f"stop ended with {done.returncode}: {done.last_line}")
        code = self.state().exit_code
        return Stopped(code, done.seconds, code == 137)

    def remove(self) -> None:
        """Remove it before the scope ends, running or not, with the volumes that have no name."""
        self.engine.check("rm", "--force", "--volumes", self.id)


@dataclass(frozen=True)
class Scope:
    """Makes things that all carry the label `course=VALUE`.

    Attributes
    ----------
    value
        The value of the label; also good as the name of a compose project, which is removed as well.
    folder
        A temporary folder that goes with the scope.
    """

    engine: Engine
    value: str
    folder: Path
    _guard: IO[bytes]

    @property
    def label(self) -> str:
        return f"{LABEL}={self.value}"

    def build(
        self,
        context: str | os.PathLike[str] | Files,
        dockerfile: str | Path | None = None,
        *,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        secrets: Mapping[str, str | Path] | None = None,
        network: str | None = None,
        cache: bool = True,
        memory_mb: int | None = None,
        tag: str | None = None,
        timeout_s: float = 300.0,
    ) -> Image:
        """Build an image.

        Parameters
        ----------
        context
            The folder that the build may copy from, or its files: path to content.
        dockerfile
            A file, or its text; by default the context's `Dockerfile`.
        target
            The stage to stop at.
        build_args, secrets
            Values for `ARG`, and for `RUN --mount=type=secret,id=NAME`; a secret is its text or a file.
        network
            "none" for a build without one.
        cache
            Whether steps built before may be taken as they are.
        memory_mb
            Limit in units of 2**20 bytes for each process of a step. Docker before version 23 keeps none.
        tag
            A name for it; without one it has only its id.
        timeout_s
            Seconds it may take.

        Raises
        ------
        BuildFailed
            With the step and its last lines.
        TimeoutError
            It took longer.
        """
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="build-") as name:
            own = Path(name)
            command = ["build", "--label", self.label, "--iidfile", own / "id"]
            if self.engine.name == "docker":
                command += ["--progress", "plain"]
            if not isinstance(context, str | os.PathLike):
                context = write_files(own / "context", context)
            if isinstance(dockerfile, Path):
                command += ["--file", dockerfile]
            elif dockerfile is not None:
                write_files(own, {"Dockerfile": dockerfile})
                command += ["--file", own / "Dockerfile"]
            for id_, secret in (secrets or {}).items():
                path = secret if isinstance(secret, Path) else write_files(own / "secrets", {id_: secret}) / id_
                command += ["--secret", f"id={id_},src={path}"]
            for key, value in (build_args or {}).items():
                command += ["--build-arg", f"{key}={value}"]
            for option, value in (("--target", target), ("--network", network), ("--tag", tag)):
                command += [option, value] if value else []
            command += [] if cache else ["--no-cache"]
            if memory_mb is not None:
                command += ["--ulimit", f"data={memory_mb * 2**20}"]
            done = self._guarded(*command, context, timeout_s=timeout_s)
            log = done.stdout + done.stderr
            steps = read_log(log)
            if done.returncode:
                raise failure(log, steps)
            id_ = (own / "id").read_text(encoding="ascii").strip()
        return self._image(id_, seconds=done.seconds, log=log, steps=tuple(steps))

    def image(self, name: str, timeout_s: float = 300.0) -> Image:
        """An image that others are built on, fetched if it is not on this machine; the scope does not remove it.

        Raises
        ------
        NoEngine
            It is not here, and could not be fetched: without it the engine is of no use.
        """
        if not self.engine.has_image(name):
            done = self.engine.run("pull", "--quiet", name, timeout_s=timeout_s)
            if done.returncode:
                raise NoEngine(f"{self.engine.name} answers, but could not fetch {name}: {done.last_line}")
        return self._image(name)

    def start(
        self,
        image: Image | str,
        command: Sequence[str] | None = None,
        *,
        publish: int | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        read_only: bool = False,
        tmpfs: Sequence[str] = (),
        drop_capabilities: bool = False,
        memory_mb: int | None = None,
        pids: int | None = None,
        cpus: float | None = None,
        network: str | None = None,
        volumes: Mapping[str | Path, str] | None = None,
        restart: str | None = None,
        health: Health | None = None,
        init: bool = False,
        options: Sequence[str] = (),
        wait_healthy_s: float | None = None,
    ) -> Container:
        """Start a container and leave it running.

        Parameters
        ----------
        image
            An image of this machine; nothing is fetched.
        command
            Instead of the image's own.
        publish
            A port of the container to be reached from this machine, on a free port of 127.0.0.1: `container.url`.
        name
            By which others on its network find it.
        env, user, read_only, tmpfs
            Variables, user id, whether its files may not be changed, and folders held in memory.
        drop_capabilities
            Take every capability away and forbid to gain any.
        memory_mb, pids, cpus
            Limits: units of 2**20 bytes (no swap), processes, cores.
        network
            A network's name, or "none".
        volumes
            A volume's name, or a folder of this machine, to the path at which the container finds it; `:ro`
            at its end forbids writing.
        restart
            no, on-failure, on-failure:N, always or unless-stopped.
        health
            Instead of the image's own health check.
        init
            Whether a small init process is to be the first one.
        options
            More words for `docker run`.
        wait_healthy_s
            Wait this long until it is healthy.

        Raises
        ------
        EngineError
            The engine refused it.
        """
        words = ["run", "--detach", "--pull", "never", "--label", self.label]
        words += ["--publish", f"{HOST}::{publish}"] if publish else []
        words += ["--name", f"{self.value}-{name}", "--network-alias", name] if name and network else []
        words += [word for key, value in (env or {}).items() for word in ("--env", f"{key}={value}")]
        words += ["--read-only"] if read_only else []
        words += [word for place in tmpfs for word in ("--tmpfs", place)]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"] if drop_capabilities else []
        words += ["--memory", f"{memory_mb}m", "--memory-swap", f"{memory_mb}m"] if memory_mb else []
        words += ["--init"] if init else []
        for option, value in (("--user", user), ("--pids-limit", pids), ("--cpus", cpus), ("--network", network)):
            words += [option, str(value)] if value is not None else []
        words += [word for place, path in (volumes or {}).items() for word in ("--volume", f"{place}:{path}")]
        words += ["--restart", restart] if restart else []
        words += health.options() if health else []
        id_ = image.id if isinstance(image, Image) else image
        said = self.engine.check(*words, *options, id_, *(command or []), timeout_s=180)
        container = Container(self.engine, said.splitlines()[-1], publish)
        if wait_healthy_s is not None:
            container.wait_healthy(wait_healthy_s)
        return container

    def run(self, image: Image | str, *command: str, timeout_s: float = 120.0, **how: Any) -> Done:
        """Start a container as `start` does, wait for its end, remove it; what it wrote, its exit code, seconds.

        Raises
        ------
        TimeoutError
            It still ran then.
        """
        container = self.start(image, command, **how)
        code = container.wait(timeout_s)
        state, logs = container.inspect()["State"], self.engine.run("logs", container.id)
        container.remove()
        return Done(code, logs.stdout, logs.stderr, _between(state["StartedAt"], state["FinishedAt"]))

    def network(self, name: str = "network", *, internal: bool = False) -> str:
        """Make a network and give its name; an internal one reaches nothing outside."""
        full = f"{self.value}-{name}"
        self.engine.check("network", "create", "--label", self.label, *(["--internal"] if internal else []), full)
        return full

    def volume(self, name: str = "volume") -> str:
        """Make a volume and give its name."""
        full = f"{self.value}-{name}"
        self.engine.check("volume", "create", "--label", self.label, full)
        return full

    def compose(self, text: str, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = 120.0) -> Done:
        """Run `docker compose WORDS` with the text of a compose file, as a project named like this scope.

        Parameters
        ----------
        env
            Values for the variables in the text.
        """
        file = write_files(self.folder, {"compose.yaml": text}) / "compose.yaml"
        command = ["compose", "--ansi", "never", "--file", file, "--project-name", self.value, *words]
        return self.engine.run(*command, timeout_s=timeout_s, env=env)

    def watch(self) -> contextlib.AbstractContextManager[Watch]:
        """The events of this scope's containers, from now on."""
        return watched(self.engine, self.label)

    def made(self) -> dict[str, int]:
        """How many containers, networks, volumes and images of this scope there are."""
        return {kind: len(ids) for kind, ids in self.engine.labelled(self.value).items()}

    def _image(self, id_: str, **how: Any) -> Image:
        return Image(self.engine, id_, self.engine.inspect("image", id_)["Size"], self.folder, **how)

    def _guarded(self, *words: str | os.PathLike[str], timeout_s: float) -> Done:
        """Run a command that must not go on when this process is killed."""

        def tell(pid: int, sign: str) -> None:
            self._guard.write(f"{sign}{pid}\n".encode())
            self._guard.flush()

        return self.engine.run(*words, timeout_s=timeout_s, on_start=tell)


@contextlib.contextmanager
def opened(engine: Engine) -> Iterator[Scope]:
    """A scope; see `Engine.scope`."""
    value = f"course-{uuid.uuid4().hex[:12]}"
    # On Windows a file that a killed process had open may still be held for a moment.
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary)).resolve()
        # -P: a module in the folder it starts in must not stand in for one of Python's.
        command = [
            sys.executable,
            "-P",
            "-m",
            "lessonkit.engine_guard",
            engine.program,
            engine.name,
            value,
            str(folder),
        ]
        guard = stack.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        try:
            yield Scope(engine, value, folder, guard.stdin)
        finally:
            left = engine.remove(value)
            with contextlib.suppress(OSError):
                guard.stdin.write(b"done\n" if not any(left.values()) else b"")
                guard.stdin.close()
    if any(left.values()):
        raise EngineError(f"these could not be removed: {json.dumps(left)}")


def write_files(folder: Path, files: Files) -> Path:
    """Write a folder of small files: path to content, with `\\n` at the end of lines on every system."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _between(started: str, finished: str) -> float:
    # Nine digits of a second are more than Python reads.
    began, ended = (datetime.fromisoformat(f"{at.rstrip('Z')[:26]}+00:00") for at in (started, finished))
    return (ended - began).total_seconds()
