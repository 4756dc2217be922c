"""Request log and metrics, kept off the hot path.

A request costs one append to a list. Ten times a second the list becomes counters and lines of
JSON, and a thread writes the lines: a reader of stderr that stalls does not stall the service.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import Counter as Tally
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
FLUSH_S = 0.1
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MAX_PENDING_BYTES = 4 * 1024**2
_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Seen(NamedTuple):
    """One answered request. `at` is seconds since 1970, `route` the path's template."""

    at: float
    seconds: float
    request_id: str
    method: str
    path: str
    route: str
    status: int
    version: str | None


class LineWriter:
    """Write lines to a stream in a thread; what does not fit in memory is dropped and counted."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        """Start the thread; without a stream the lines go to whatever sys.stderr is."""
        self.dropped = 0
        self._stream = stream
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Take in whole lines; never waits, but after `close`, when no thread is left to do it."""
        if self._closing:
            self._put(lines)
            return
        with self._lock:
            if self._size + len(lines) > MAX_PENDING_BYTES:
                self.dropped += lines.count(b"\n")
                return
            self._size += len(lines)
            self._pending.append(lines)
        self._wake.set()

    def close(self, patience_s: float = 0.5) -> None:
        """Write what is pending; a stream that nobody reads is given up after `patience_s`."""
        self._closing = True
        self._wake.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._closing or self._pending:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                content, self._size = b"".join(self._pending), 0
                self._pending.clear()
            self._put(content)

    def _put(self, content: bytes) -> None:
        with suppress(OSError, ValueError):  # the reader is gone, the stream is closed
            stream = self._stream or getattr(sys.stderr, "buffer", None)
            if stream is not None:
                stream.write(content)
                stream.flush()
            elif sys.stderr is not None:  # a notebook's takes text only
                sys.stderr.write(content.decode())


class JsonLines(logging.Handler):
    """Send log records to a `LineWriter`, each a line of JSON with its traceback if it has one."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record).encode() + b"\n")
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := getattr(record, "request_id", None)) is not None:
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line)


class Telemetry:
    """Counts and logs requests; one for each worker process."""

    def __init__(self, request_log: bool, stream: BinaryIO | None = None) -> None:
        """Start it.

        Args:
            request_log: whether each request becomes a line.
            stream: where lines go, stderr by default.
        """
        self._request_log = request_log
        self._seen: list[Seen] = []
        self._totals: dict[str, list[float]] = {}  # version: rows, late, sum of probabilities
        self._timer: asyncio.TimerHandle | None = None
        self.writer = LineWriter(stream)
        disable_created_metrics()  # a second series for each counter, which nobody asks for
        self.registry = CollectorRegistry()
        self._several = MULTIPROCESS_VARIABLE in os.environ
        if not self._several:
            ProcessCollector(registry=self.registry)
        self._metrics = _Metrics(self.registry)

    def request(self, seen: Seen) -> None:
        """Take note of an answered request."""
        self._seen.append(seen)

    def predicted(self, version: str, rows: int, late: int, total: float) -> None:
        """Take note of predictions; `total` is the sum of their probabilities."""
        totals = self._totals.get(version)
        if totals is None:
            totals = self._totals[version] = [0, 0, 0.0]
        totals[0] += rows
        totals[1] += late
        totals[2] += total

    def start(self) -> None:
        """Flush ten times a second, in the running event loop, until `close`."""
        loop = asyncio.get_running_loop()

        def tick() -> None:
            self.flush()
            self._timer = loop.call_later(FLUSH_S, tick)

        tick()

    def flush(self) -> None:
        """Turn what was noted into counters and lines."""
        seen, self._seen = self._seen, []
        totals, self._totals = self._totals, {}
        if seen:
            self._metrics.count_requests(seen)
            if self._request_log:
                self.writer.write("".join([_line(one) for one in seen]).encode())
        for version, (rows, late, total) in totals.items():
            self._metrics.count_rows(version, rows, late, total)

    def watch_log(self, pending: int, written: int, dropped: int) -> None:
        """Take over the prediction log's counters, in rows."""
        self._metrics.watch_log(pending, written, dropped)

    def switched(self, version: str, previous: str | None) -> None:
        """Take note of a new champion in this process."""
        self._metrics.switched(version, previous)

    def refused(self) -> None:
        """Take note of a champion that could not be loaded."""
        self._metrics.load_failures.inc()

    def render(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format."""
        if not self._several:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)

    def close(self) -> None:
        """Flush and stop."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        self.writer.close()


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"flight_delays_{name}", text, labels, registry=registry)

        self.requests = counter("requests", "Answered requests.", ("method", "route", "status"))
        self.seconds = Histogram(
            "flight_delays_request_seconds",
            "Time from the head of a request to its answer.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.rows = counter("predictions", "Predictions made.", ("version",))
        self.late = counter("predictions_late", "Predictions of a late arrival.", ("version",))
        self.total = counter("probability_sum", "Sum of all predicted probabilities.", ("version",))
        self.champion = Gauge(
            "flight_delays_champion",
            "Workers that have this version in service.",
            ("version",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.load_failures = counter("champion_load_failures", "Champions that did not load.")
        self.log_pending = Gauge(
            "flight_delays_log_pending_rows",
            "Predictions not yet in the prediction log.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.log_written = counter("log_written_rows", "Predictions in the prediction log.")
        self.log_dropped = counter("log_dropped_rows", "Predictions the log had no room for.")
        self._log_counts = (0, 0)

    def count_requests(self, seen: list[Seen]) -> None:
        kinds = Tally((one.method, one.route, one.status) for one in seen)
        for (method, route, status), count in kinds.items():
            method = method if method in _METHODS else "other"
            self.requests.labels(method, route, str(status)).inc(count)
        children = {route: self.seconds.labels(route) for _, route, _ in kinds}
        for one in seen:
            children[one.route].observe(one.seconds)

    def count_rows(self, version: str, rows: float, late: float, total: float) -> None:
        self.rows.labels(version).inc(rows)
        self.late.labels(version).inc(late)
        self.total.labels(version).inc(total)

    def watch_log(self, pending: int, written: int, dropped: int) -> None:
        before = self._log_counts
        self._log_counts = written, dropped
        self.log_pending.set(pending)
        self.log_written.inc(written - before[0])
        self.log_dropped.inc(dropped - before[1])

    def switched(self, version: str, previous: str | None) -> None:
        if previous is not None:
            self.champion.labels(previous).set(0)
        self.champion.labels(version).set(1)


def configure_logging(writer: LineWriter, level: str) -> None:
    """Send all records of this process to `writer`, in place of whatever was set up before."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(JsonLines(writer))
    root.setLevel(level.upper())
    if level != "debug":  # what uvicorn says of each start and stop
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _line(seen: Seen) -> str:
    at, seconds, request_id, method, path, route, status, version = seen
    if path != route:
        path = json.dumps(path[:200])[1:-1]
    if method not in _METHODS:
        method = json.dumps(method[:20])[1:-1]
    version = f'"{version}"' if version else "null"
    return (
        f'{{"time":"{_iso(at)}","level":"info","request_id":"{request_id}","method":"{method}",'
        f'"path":"{path}","status":{status},"ms":{seconds * 1000:.3f},"version":{version}}}\n'
    )


def _iso(seconds: float) -> str:
    whole, rest = divmod(seconds, 1)
    return f"{_second(whole)}.{int(rest * 1000):03d}Z"


@lru_cache(maxsize=4)  # thousands of requests share a second
def _second(whole: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
