"""Load on an HTTP server of this machine, bounded in number and time, and a plot of how long the answers took.

The load is closed-loop: each connection sends its next request when the last one is answered. So a
slow server is asked less often, and what is measured is how many answers it can give.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgpack
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lessonkit.cores import usable
from lessonkit.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, plain_numbers

HOST = "127.0.0.1"
MAX_CONNECTIONS, MAX_REQUESTS, MAX_SECONDS = 256, 1_000_000, 60.0
START_S = 30.0  # for a Python process to start on a busy machine


@dataclass(frozen=True)
class Load:
    """What came back.

    Attributes
    ----------
    latencies_ms
        Milliseconds from each request to its whole answer, shape (answers,), in the order of the answers.
    statuses
        HTTP status to the number of answers with it.
    errors
        What went wrong where no answer came, to how often.
    seconds
        From the first request to the last answer.
    connections
        How many were kept busy.
    busy
        Share of the time that the process which made the load was computing itself. Near 1 the load
        was the limit, not the server.
    """

    latencies_ms: NDArray[np.float64]
    statuses: dict[int, int]
    errors: dict[str, int]
    seconds: float
    connections: int
    busy: float = 0.0

    @property
    def answers(self) -> int:
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        """Requests with another answer than 2xx, or none."""
        return sum(self.errors.values()) + sum(n for status, n in self.statuses.items() if not 200 <= status < 300)

    @property
    def requests_per_s(self) -> float:
        """Answers a second, whatever their status."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def p50_ms(self) -> float:
        return self.percentile(50)

    @property
    def p99_ms(self) -> float:
        return self.percentile(99)

    def percentile(self, q: float) -> float:
        """Milliseconds within which `q` percent of the answers came; NaN if there were none."""
        return float(np.percentile(self.latencies_ms, q)) if self.answers else float("nan")

    def __str__(self) -> str:
        told = f"{self.answers:,} answers over {self.connections} connections: {self.requests_per_s:,.0f} a second"
        told += f", half within {self.p50_ms:.3g} ms, 99% within {self.p99_ms:.3g} ms"
        return told + (f"; {self.failed:,} failed" if self.failed else "")


def load(
    url: str,
    bodies: Any = None,
    *,
    connections: int = 16,
    seconds: float = 2.0,
    requests: int = 100_000,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    patience_s: float = 10.0,
    cores: Sequence[int] | None = None,
) -> Load:
    """Make load on a server of this machine, from a process of its own, and say what came back.

    It ends after `seconds` or `requests`, whichever comes first, and then waits for the answers that
    are still to come. The process takes turns with nothing in this one: a notebook's kernel and
    the load do not wait for each other.

    Parameters
    ----------
    url
        Must begin with http://127.0.0.1:PORT.
    bodies
        None sends no body. Bytes are sent as they are, anything else as JSON. A list is sent one element
        a request, in turn.
    connections, seconds, requests
        At most 256, 60 and 1,000,000.
    method
        POST where there are bodies, else GET.
    headers
        To send with every request; Content-Type is application/json unless named here.
    patience_s
        Seconds to wait for answers at the end.
    cores
        Cores for the process, see `lessonkit.cores.split`; by default the last one of this process.

    Raises
    ------
    ValueError
        Another host, or a bound above its limit.
    RuntimeError
        The process ended without a result; the message holds its last line.
    """
    port, path = _address(url)
    for name, value, limit in (
        ("connections", connections, MAX_CONNECTIONS),
        ("requests", requests, MAX_REQUESTS),
        ("seconds", seconds, MAX_SECONDS),
        ("patience_s", patience_s, MAX_SECONDS),
    ):
        if not 0 < value <= limit:
            raise ValueError(f"{name}: expected more than 0 and at most {limit:,}, found {value!r}")
    order = {
        "port": port,
        "messages": _messages(port, path, bodies, method, headers or {}),
        "connections": connections,
        "requests": requests,
        "seconds": seconds,
        "patience_s": patience_s,
        "cores": usable()[-1:] if cores is None else list(cores),
    }
    told = _in_process(order, seconds + 2 * patience_s + START_S)
    latencies = np.frombuffer(told["latencies_ms"], "<f8")
    busy = told["cpu_s"] / told["seconds"] if told["seconds"] else 0.0
    statuses = dict(sorted(told["statuses"].items()))
    return Load(latencies, statuses, told["errors"], told["seconds"], connections, busy)


def draw_latencies(axes: Axes, loads: Mapping[str, Load], title: str = "") -> None:
    """Draw for each load which share of its answers came within how many milliseconds; a dot marks the 99%.

    The further left a curve, the faster; the flatter its upper end, the longer a few have to wait.
    The milliseconds are on a logarithmic scale.
    """
    colours = [BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY]
    for number, (name, one) in enumerate(loads.items()):
        if not one.answers:
            raise ValueError(f"{name}: there is nothing to draw, no answer came: {one.errors}")
        colour = colours[number % len(colours)]
        label = f"{name}: half {_told_ms(one.p50_ms)}, 99% {_told_ms(one.p99_ms)}"
        dashed = "-" if number < len(colours) else "--"
        axes.ecdf(one.latencies_ms, color=colour, label=label, linestyle=dashed)
        axes.plot([one.p99_ms], [0.99], "o", color=colour, markersize=4)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set(xlabel="milliseconds to the answer", ylabel="share of answers", title=title, ylim=(0, 1.03))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _told_ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _address(url: str) -> tuple[int, str]:
    """Port and path of an address on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname != HOST or parts.port is None or parts.username is not None:
        raise ValueError(f"url: load is made on this machine only: expected http://{HOST}:PORT/..., found {url!r}")
    return parts.port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _messages(port: int, path: str, bodies: Any, method: str | None, headers: Mapping[str, str]) -> list[bytes]:
    """Whole HTTP requests, one a body."""
    each = bodies if isinstance(bodies, list) else [bodies]
    if not each:
        raise ValueError("bodies: the list is empty; None sends requests without a body")
    made = []
    for body in each:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        told = {"Host": f"{HOST}:{port}"}
        if body is not None:
            told |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        lines = [f"{name}: {value}" for name, value in _merged(told, headers).items()]
        if any("\n" in line or "\r" in line for line in (*lines, path)):
            raise ValueError("headers: a header or the url holds a line break")
        verb = method or ("GET" if body is None else "POST")
        made.append("\r\n".join([f"{verb} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + content)
    return made


def _merged(told: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Headers of both, those of `more` in place of the same ones; names are the same in any case."""
    own = {name.lower() for name in more}
    return {name: value for name, value in told.items() if name.lower() not in own} | dict(more)


def _in_process(order: dict[str, Any], limit_s: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "lessonkit.load_process"]
    done = subprocess.run(command, input=msgpack.packb(order), capture_output=True, timeout=limit_s, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"the process that makes load ended with {done.returncode}: {last[0]}")
    return msgpack.unpackb(done.stdout, strict_map_key=False)
