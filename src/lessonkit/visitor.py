"""Somebody who goes on asking the service while something happens to it: each answer is noted."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from lessonkit.style import BLUE, GREEN, ORANGE, RED

PATIENCE_S = 10.0
NOT_READY = 503


@dataclass(frozen=True)
class Answer:
    """What came back for one question.

    Attributes
    ----------
    at
        When it was asked, by `time.monotonic`.
    status
        HTTP status; 0 where no answer came.
    version
        The version that answered, None where none did.
    """

    at: float
    status: int
    version: str | None


@dataclass
class Visit:
    """All answers so far."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def served(self) -> list[Answer]:
        """The answers that hold a prediction."""
        return [answer for answer in self.answers if answer.version is not None]

    @property
    def refused(self) -> list[Answer]:
        """503 of a service that has no model yet: it says so, and is no failure."""
        return [answer for answer in self.answers if answer.status == NOT_READY]

    @property
    def failed(self) -> int:
        """Questions that got neither a prediction nor the word that there is no model yet."""
        return len(self.answers) - len(self.served) - len(self.refused)

    @property
    def versions(self) -> list[str]:
        """The versions in the order in which they answered, each turn once."""
        turns: list[str] = []
        for answer in self.served:
            if not turns or turns[-1] != answer.version:
                turns.append(answer.version)
        return turns


@contextlib.contextmanager
def visiting(url: str, flight: Mapping[str, Any], a_second: float = 20.0) -> Iterator[Visit]:
    """Ask for the same flight again and again while the block runs, one question after the other.

    Parameters
    ----------
    url
        Of the service, http://127.0.0.1:PORT.
    flight
        What is asked.
    a_second
        At most so many questions a second.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname != "127.0.0.1" or parts.port is None:
        raise ValueError(f"url: expected a service of this machine, http://127.0.0.1:PORT, found {url!r}")
    visit, over = Visit(), threading.Event()
    body = json.dumps({"flight": dict(flight)}).encode()

    def ask() -> None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            while not over.wait(1 / a_second):
                visit.answers.append(_ask(connection, body))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield visit
    finally:
        over.set()
        thread.join(PATIENCE_S + 5)


def _ask(connection: http.client.HTTPConnection, body: bytes) -> Answer:
    at = time.monotonic()
    try:
        connection.request("POST", "/v1/predictions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        version = json.loads(content)["version"] if response.status == 200 else None
        return Answer(at, response.status, version)
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        connection.close()
        return Answer(at, 0, None)


def draw_visit(axes: Axes, visit: Visit, since: float, names: Mapping[str, str]) -> None:
    """One mark an answer over time, a row and a colour for each version; what failed in red.

    Parameters
    ----------
    since
        Second zero, by `time.monotonic`.
    names
        Version to what its row is called, lowest first.
    """
    for row, ((version, name), colour) in enumerate(zip(names.items(), (ORANGE, BLUE, GREEN), strict=False)):
        at = np.array([answer.at - since for answer in visit.served if answer.version == version])
        axes.plot(at, np.full(len(at), row), "|", markersize=9, color=colour, label=name)
    lost = [answer.at - since for answer in visit.answers if answer.version is None and answer.status != NOT_READY]
    if lost:
        axes.plot(lost, np.full(len(lost), len(names)), "x", color=RED)
    rows = [*names.values(), *(["failed"] if lost else [])]
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(-0.6, len(rows) - 0.4), ylabel="", xlabel="seconds")
    axes.set_title(f"{len(visit.served):,} answers, {visit.failed} failed")


def draw_turns(visit: Visit, names: Mapping[str, str], title: str) -> None:
    """The visit alone, as a picture with a title of its own."""
    _, axes = plt.subplots(figsize=(8, 1.9))
    draw_visit(axes, visit, visit.answers[0].at, names)
    axes.set_title(title)
    plt.show()
