"""One server under load: whether it answers with the model's probabilities, how fast, at what cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psutil

from bench.servers.contenders import Protocol, Wrong
from bench.servers.model import BATCH, Prepared
from lessonkit.load import load
from lessonkit.servers import Server

TOLERANCE = 1e-5  # as of a bundle's golden rows
CHECKED = 25
WARM_UP_S = 0.5
LOAD_IS_LIMIT = 0.9


@dataclass(frozen=True)
class Measured:
    """One cell of the table, once. Megabytes are resident sets; a page that two processes share counts in each."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_request: float
    rss_mb: float
    told: str  # how some failed, or that the load was the limit
    others: float  # how many cores all other programs of the machine took meanwhile


@dataclass(frozen=True)
class Bodies:
    """The rows in the form that one server wants."""

    protocol: Protocol
    prepared: Prepared

    def of(self, rows: int) -> tuple[str, list[Any]]:
        """The path and the bodies, of one row each or of a batch."""
        if rows == 1:
            return self.protocol.one, [self.protocol.body_one(flight) for flight in self.prepared.singles()]
        return self.protocol.many, [self.protocol.body_many(columns) for columns in self.prepared.batches()]


def check(server: Server, bodies: Bodies) -> None:
    """Compare the server's probabilities with the bundle's own.

    Raises
    ------
    Wrong
        They differ, or a request was refused.
    """
    bundle, protocol = bodies.prepared.bundle(), bodies.protocol
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:

        def ask(path: str, body: Any) -> Any:
            answer = client.post(path, json=body)
            if answer.status_code != 200:
                raise Wrong(f"{path} answered {answer.status_code}: {answer.text[:200]}")
            return answer.json()

        path, singles = bodies.of(1)
        found = [probability for body in singles[:CHECKED] for probability in protocol.read_one(ask(path, body))]
        path, batches = bodies.of(BATCH)
        found += [probability for body in batches for probability in protocol.read_many(ask(path, body))]
    columns = bodies.prepared.batches()
    expected = np.concatenate([bundle.predict(columns[0])[:CHECKED], *map(bundle.predict, columns)])
    if len(found) != len(expected) or not np.abs(np.array(found) - expected).max() <= TOLERANCE:
        raise Wrong("its probabilities are not those of the model")


def warm_up(server: Server, bodies: Bodies, rows: int, connections: int, cores: Sequence[int]) -> None:
    """A moment of load that is not measured."""
    path, content = bodies.of(rows)
    load(server.url + path, content, connections=connections, seconds=WARM_UP_S, patience_s=30, cores=cores)


def measure(
    server: Server, bodies: Bodies, rows: int, connections: int, seconds: float, cores: Sequence[int]
) -> Measured:
    """Put load on a server for some seconds."""
    path, content = bodies.of(rows)
    processes = family(server.pid)
    before, started = (cpu_s(processes), own_cpu_s(), machine_cpu_s()), time.perf_counter()
    done = load(server.url + path, content, connections=connections, seconds=seconds, patience_s=30, cores=cores)
    took = time.perf_counter() - started
    after = cpu_s(processes), own_cpu_s(), machine_cpu_s()
    used, own, total = (end - start for start, end in zip(before, after, strict=True))
    told = ""
    if done.failed:
        statuses = {status: n for status, n in done.statuses.items() if not 200 <= status < 300}
        asked = done.answers + sum(done.errors.values())
        told = f"{done.failed} of {asked} failed: {statuses | done.errors}"
    elif done.busy > LOAD_IS_LIMIT:
        told = f"the load was busy for {done.busy:.0%} of the time, so it may be the limit"
    each = used * 1000 / done.answers if done.answers else float("nan")
    rss = sum(memory_of(process) for process in processes) / 2**20
    return Measured(done.requests_per_s, done.p50_ms, done.p99_ms, each, rss, told, max(total - used - own, 0) / took)


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """Seconds of CPU that the processes have used together."""
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def own_cpu_s() -> float:
    """Seconds of CPU of this process and of those it has waited for, the load among them."""
    times = psutil.Process().cpu_times()
    return sum(times[:4])  # user and system, of itself and of its children


def machine_cpu_s() -> float:
    """Seconds of CPU that the whole machine has used, or that its host has taken from it."""
    times = psutil.cpu_times()
    # A guest's time is in the user's already.
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def memory_of(process: psutil.Process) -> int:
    """Bytes of its resident set; 0 if it is gone."""
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0
