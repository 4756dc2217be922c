"""What a request costs a server, in milliseconds of processor time.

Requests a second depend on whatever else the machine does meanwhile; the processor time that a
server's own processes use depends on it far less. One core can give at most 1000 / cost answers a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import psutil

from lessonkit.load import load
from lessonkit.servers import Server


def cpu_ms(
    server: Server,
    path: str = "/",
    bodies: Any = None,
    *,
    connections: int = 8,
    requests: int = 2_000,
    seconds: float = 1.0,
    headers: Mapping[str, str] | None = None,
) -> float:
    """Milliseconds of processor time that a server uses for an answer, under a short load.

    Parameters
    ----------
    server, path, bodies, headers
        What is asked, as in `lessonkit.load.load`.
    connections, requests, seconds
        The load ends after so many requests or seconds, whichever comes first.

    Raises
    ------
    RuntimeError
        An answer was no success: an error is cheap to give, so its cost would mislead.
    """
    url = server.url + path
    load(url, bodies, connections=connections, requests=2 * connections, headers=headers)  # to warm up
    before = _used_s(server)
    done = load(url, bodies, connections=connections, requests=requests, seconds=seconds, headers=headers)
    used = _used_s(server) - before
    if done.failed or not done.answers:
        raise RuntimeError(f"{path}: {done.failed} of {done.answers} answers failed: {done.statuses | done.errors}")
    return used * 1000 / done.answers


def _used_s(server: Server) -> float:
    """Seconds of processor time of the server's process and all below it."""
    parent, used = psutil.Process(server.pid), 0.0
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used
