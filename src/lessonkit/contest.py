"""What lesson 02 compares: servers that take turns, what they answer to nonsense, and the bench's table."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from lessonkit.apps import app_server
from lessonkit.cores import split
from lessonkit.cost import cpu_ms
from lessonkit.servers import HOST, Server

BENCH = Path(__file__).resolve().parents[2] / "bench" / "serving.json"
NO_BENCH = "There is no bench/serving.json in this copy of the course; `make bench-serving` writes it."


def costs(
    cases: Mapping[str, tuple[Callable[..., Any], Callable[..., Any], str]],
    asked: Mapping[str, tuple[str, Any]],
    *,
    seconds: float,
    rounds: int,
) -> pd.DataFrame:
    """Start a server for each case and ask them in turn; milliseconds of processor time for an answer.

    In each round every server is measured once, so that a busy moment of the machine meets all. The least
    of the rounds counts, as in `lessonkit.measure.seconds`.

    Parameters
    ----------
    cases
        A name for each, and what makes the app, what loads the model, which server.
    asked
        A name for each question, and its path and body; no body makes it a GET.
    seconds, rounds
        How long a server is asked each time, and how often.

    Returns
    -------
    A row for each question, a column for each case.
    """
    found = pd.DataFrame(float("inf"), index=list(asked), columns=list(cases))
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(app_server(make_app, load_model, by=by))
            for name, (make_app, load_model, by) in cases.items()
        }
        for _ in range(rounds):
            for question, (path, body) in asked.items():
                for name, server in running.items():
                    cost = cpu_ms(server, path, body, seconds=seconds)
                    found.loc[question, name] = min(cost, found.loc[question, name])
    return found


def server_cores() -> list[int]:
    """The core that `lessonkit.apps.app_server` gives a server."""
    return split()[0]


def connection_of(server: Server) -> str:
    """What a server says of itself and of the connection in an answer to GET /."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        name = answer.getheader("Server", "no name").split("/")[0]
        return f"answers as {name}, {'closes' if answer.will_close else 'keeps'} the connection"
    finally:
        connection.close()


def warnings_of(server: Server) -> list[str]:
    """The warnings among what a server has written, two sentences of each, without their colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", server.written())
    return [". ".join(line.split(". ")[:2]) + "." for line in plain.splitlines() if "WARNING" in line]


def outcomes(server: Server, bodies: Mapping[str, Any], path: str = "/predictions") -> dict[str, httpx.Response]:
    """POST each body as JSON; its name to the answer."""
    told = {}
    for name, body in bodies.items():
        # json.dumps writes NaN, which httpx's own `json=` refuses. A connection each: uvicorn closes one after a 500.
        content, headers = json.dumps(body), {"Content-Type": "application/json"}
        told[name] = httpx.post(server.url + path, content=content, headers=headers, timeout=10, trust_env=False)
    return told


def table(answers: Mapping[str, Mapping[str, httpx.Response]]) -> str:
    """A column for each server's `outcomes`: the status, and the probability where there is one."""
    return pd.DataFrame(
        {who: {name: _told(one) for name, one in got.items()} for who, got in answers.items()}
    ).to_string()


def _told(answer: httpx.Response) -> str:
    probability = f", {answer.json()['probability']:.3f}" if answer.is_success else ""
    return f"{answer.status_code}{probability}"


def bench_table(path: Path = BENCH, connections: int = 16) -> str:
    """The rows of bench/serving.json for single flights at so many connections, fastest first; or why there is none."""
    if not path.is_file():
        return NO_BENCH
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    chosen = [row for row in rows if row["connections"] == connections and row["rows_a_request"] == 1]
    measured = sorted((row for row in chosen if row["requests_per_s"]), key=lambda row: -row["requests_per_s"])
    top = next((row["requests_per_s"] for row in measured if row["key"] == "ceiling"), None)
    lines = [f"{'server':46} {'workers':>7} {'requests/s':>10} {'p99, ms':>8} {'share':>6}"]
    for row in measured:
        share = f"{row['requests_per_s'] / top:.0%}" if top else "-"
        rate, slow = row["requests_per_s"], row["p99_ms"]
        lines.append(f"{row['server']:46} {row['workers']:7} {rate:10,.0f} {slow:8.3g} {share:>6}")
    lines += [f"{row['server']:46} {row['workers']:7} not measured" for row in chosen if not row["requests_per_s"]]
    return "\n".join(lines)
