"""Ask the service in a container from inside it: no port has to be published, and no network is needed.

with containers() as scope:      # None, and one line that says why, where there is no container engine
    ...
    ask(container, [get("/health")])
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lessonkit.engine import NoEngine, find_engine
from lessonkit.engine_scope import Container, Scope

START_S = 20.0
# Runs in the container, sends requests there and prints what came back. Its argument: JSON of port, patience, requests.
PROBE = """
import http.client, json, socket, sys, time
port, patience, requests = json.loads(sys.argv[1])
until = time.monotonic() + patience
while True:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        if time.monotonic() > until:
            sys.exit("nothing listens on port %d" % port)
        time.sleep(0.05)
replies = []
for method, path, body, headers in requests:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    link.request(method, path, body, headers)
    reply = link.getresponse()
    replies.append([reply.status, reply.read(4000).decode("utf-8", "replace")])
print(json.dumps(replies))
"""


class Request(NamedTuple):
    """A request as the service in the container receives it."""

    method: str
    path: str
    body: str | None
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """Its status, and its body as JSON, or as text where it is none."""

    status: int
    body: Any


class NoAnswer(RuntimeError):
    """Nothing in the container answers; the message says what was seen instead."""


def get(path: str) -> Request:
    """A GET."""
    return Request("GET", path, None, {})


def post(path: str, content: Any, headers: Mapping[str, str] | None = None) -> Request:
    """A POST of a value as JSON."""
    return Request("POST", path, json.dumps(content), headers or {})


def ask(container: Container, requests: Sequence[Request], port: int) -> list[Reply]:
    """Wait until the port of the container is open, send the requests, and give the replies.

    Raises
    ------
    NoAnswer
        Nothing listens there after 20 seconds, or the container has ended, or what came back cannot be read.
    """
    asked = json.dumps([port, START_S, requests])
    done = container.exec("python", "-c", PROBE, asked, timeout_s=START_S + 15)
    if done.returncode:
        raise NoAnswer(done.last_line)
    try:
        return [Reply(int(status), _json(body)) for status, body in json.loads(done.stdout)]
    except (ValueError, TypeError) as error:
        raise NoAnswer(f"what came back cannot be read: {done.stdout[:200]}") from error


def _json(body: object) -> Any:
    try:
        return json.loads(str(body))
    except ValueError:
        return str(body)


@contextlib.contextmanager
def containers() -> Iterator[Scope | None]:
    """A place to build and run, all of it removed after the block. None where there is no engine; a line says why."""
    try:
        engine = find_engine()
    except NoEngine as none:
        print(none)
        yield None
        return
    with engine.scope() as scope:
        yield scope
