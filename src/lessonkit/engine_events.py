"""What happens to a container, told by the engine as it happens, so that nobody has to look again and again."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from lessonkit.engine import Engine


@dataclass(frozen=True)
class Event:
    """Something that happened to a container.

    Attributes
    ----------
    at
        Seconds since 1970, by the engine's clock.
    what
        create, start, kill, oom, die, stop, restart, healthy, unhealthy ...
    container
        The id of the container.
    detail
        The exit code of `die`, the number of the signal of `kill`, else empty.
    """

    at: float
    what: str
    container: str
    detail: str = ""


@contextlib.contextmanager
def watched(engine: Engine, label: str, since: str = "") -> Iterator[Watch]:
    """The events of the containers that carry a label, from a moment on, which may be past.

    Parameters
    ----------
    label
        As in `course=VALUE`.
    since
        A time as the engine writes it; by default now.
    """
    command = [engine.program, "events", "--format", "{{json .}}", "--filter", "type=container"]
    command += ["--filter", f"label={label}", *(["--since", since] if since else [])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with process:
        heard: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

        def listen() -> None:
            for line in process.stdout:
                event = _read(json.loads(line))
                if event is not None:
                    heard.put(event)
            heard.put(None)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield Watch(heard)
        finally:
            process.kill()
            listener.join()


class Watch:
    """The events so far, and a way to wait for one."""

    def __init__(self, heard: queue.SimpleQueue[Event | None]) -> None:
        self._heard = heard
        self.events: list[Event] = []

    def wait(self, wanted: Callable[[Event], bool], timeout_s: float) -> Event:
        """The next event, after those already waited for, that is wanted.

        Raises
        ------
        TimeoutError
            None came in time.
        """
        until = time.monotonic() + timeout_s
        while True:
            try:
                event = self._heard.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                event = None
            if event is None:
                raise TimeoutError(f"what was waited for did not happen within {timeout_s:g} s")
            self.events.append(event)
            if wanted(event):
                return event


def _read(told: dict) -> Event | None:
    """One line of docker's or of podman's; None for the commands of a health check."""
    if "Actor" in told:  # docker
        what, about = told["Action"], told["Actor"]["Attributes"]
        at, container = told["timeNano"] / 1e9, told["Actor"]["ID"]
        detail = about.get("exitCode") or about.get("signal") or ""
    else:  # podman
        what, container, detail = told["Status"], told["ID"], str(told.get("ContainerExitCode", ""))
        at = told.get("timeNano", 0) / 1e9 or _seconds(told.get("Time", ""))
        what = {"died": "die"}.get(what, what)
        if what == "health_status":
            what = f"{what}: {told.get('HealthStatus', '')}"
    if what.startswith("exec_"):
        return None
    return Event(at, what.removeprefix("health_status: "), container, detail)


def _seconds(written: str) -> float:
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:
        return 0.0
