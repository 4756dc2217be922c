"""The process that makes HTTP load: it reads an order from its input and writes what it measured to its output.

Both are msgpack. `lessonkit.load` starts it.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgpack
import numpy as np

from lessonkit.cores import pin

REFUSED = "no connection"
CLOSED = "closed without an answer"
SILENT = "no answer in time"
GARBLED = "not an answer in HTTP"


@dataclass
class Run:
    """What all connections share: the requests still to send, and what came back."""

    order: dict[str, Any]
    latencies: list[float] = field(default_factory=list)  # seconds, in the order of the answers
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    last: float = 0.0  # when the last answer came; at the end, seconds from the start to it
    cpu_s: float = 0.0  # what the load itself took
    over: bool = False

    def __post_init__(self) -> None:
        self._messages = itertools.cycle(self.order["messages"])
        self._opening: set[asyncio.Task[None]] = set()

    def next_message(self) -> bytes | None:
        """The next request; None when the time or the number of requests is used up."""
        if self.over or self.sent >= self.order["requests"]:
            return None
        self.sent += 1
        return next(self._messages)

    def open_again(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.open())
        self._opening.add(task)  # the loop itself keeps no hold of a task
        task.add_done_callback(self._opening.discard)


class Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next; opened again where the server closes it.

    The time of an answer runs from the moment its request could have been sent. Where the server
    has closed the connection, opening another is part of it.
    """

    def __init__(self, run: Run) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._run = run
        self._parser: httptools.HttpResponseParser | None = None
        self._transport: asyncio.Transport | None = None
        self._message: bytes | None = None  # the request whose answer is awaited
        self._since = 0.0

    async def open(self) -> None:
        """Connect. Where nobody listens that is one error, and the end of this connection."""
        self._parser = httptools.HttpResponseParser(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._run.order["port"])
        except OSError:
            self._fail(REFUSED)

    def send_next(self) -> None:
        self._message = self._run.next_message()
        if self._message is None:
            self._end()
            return
        self._since = time.perf_counter()
        if self._transport is None:
            self._run.open_again(self)
        else:
            self._transport.write(self._message)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._message is not None:
            self._transport.write(self._message)
        elif self.done.done():
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(GARBLED)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200 or self._message is None:  # 100 Continue comes before the answer
            return
        run, now = self._run, time.perf_counter()
        run.latencies.append(now - self._since)
        run.statuses[status] += 1
        run.last = now
        self._message = None
        if self._parser.should_keep_alive():
            self.send_next()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self.done.done():
            return
        if self._message is not None:
            self._run.errors[CLOSED] += 1
        self.send_next()

    def give_up(self) -> None:
        """The time to wait for answers is over."""
        if not self.done.done():
            self._fail(SILENT)

    def _fail(self, why: str) -> None:
        self._run.errors[why] += 1
        self._message = None
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.abort()


async def make_load(order: dict[str, Any]) -> Run:
    """Open every connection, then keep each busy until the time or the number of requests is used up."""
    loop, run = asyncio.get_running_loop(), Run(order)
    connections = [Connection(run) for _ in range(order["connections"])]
    await asyncio.gather(*(connection.open() for connection in connections))
    started, cpu_before = time.perf_counter(), time.process_time()

    def end() -> None:
        run.over = True

    def give_up() -> None:
        for connection in connections:
            connection.give_up()

    timers = [loop.call_later(order["seconds"], end), loop.call_later(order["seconds"] + order["patience_s"], give_up)]
    for connection in connections:
        if not connection.done.done():
            connection.send_next()
    await asyncio.wait([connection.done for connection in connections])
    run.cpu_s = time.process_time() - cpu_before
    for timer in timers:
        timer.cancel()
    run.last = max(run.last - started, 0.0)
    return run


def loop_factory() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, or asyncio's own where there is no uvloop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    order = msgpack.unpackb(sys.stdin.buffer.read())
    if order["cores"]:
        pin(order["cores"])
    gc.disable()  # the run is short, and a collection would look like a slow answer
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        run = runner.run(make_load(order))
    told = {
        "latencies_ms": (np.array(run.latencies) * 1000).astype("<f8").tobytes(),
        "statuses": run.statuses,
        "errors": run.errors,
        "seconds": run.last,
        "cpu_s": run.cpu_s,
    }
    sys.stdout.buffer.write(msgpack.packb(told))


if __name__ == "__main__":
    main()
