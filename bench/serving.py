"""What it costs to serve one model: the ceiling, this course's service, and the usual servers on the same rows.

    make bench-serving
    make bench-serving ARGS="--seconds 0.5 --rounds 1 --only ceiling,service"    a short trial

Prints one table and writes bench/serving.json (a trial with --only writes nothing unless --out
names a file). Run it when the machine has nothing else to do.

Each server gets one core and one thread for its numeric libraries, the load another core; a server
of two workers gets two cores. Where the machine has only two the load shares them, which the row
says. In each round every server is started in turn and each cell is measured for some seconds, so
that a noisy neighbour meets all of them; a row holds the medians of its cells. Before the first
cell the probabilities are compared with the model's own.

CPU time and memory are those of all processes of a server; resident sets are added up. Batches are
a thousand rows a request.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median

import httpx
import psutil

from bench.pages import write_pages
from bench.servers.contenders import BENTOML, SERVING, Contender, Missing, Wrong, contenders
from bench.servers.measure import Bodies, Measured, check, measure, warm_up
from bench.servers.model import BATCH, Prepared, prepare
from labkit.environment import ROOT
from lessonkit.cores import usable
from lessonkit.servers import ServerFailed

CONNECTIONS = (1, 16, 64)
BATCH_CONNECTIONS = 4
CELLS = [(1, connections) for connections in CONNECTIONS] + [(BATCH, BATCH_CONNECTIONS)]
HERE = ("fastapi", "flask", "gunicorn", "numpy", "onnxruntime", "pandas", "pydantic-core", "scikit-learn", "uvicorn")
OTHERS = 0.2  # cores; above it the figures are not those of a quiet machine
FAILURES = (Missing, ServerFailed, Wrong, httpx.HTTPError, psutil.Error)  # it did not start, or it ended
SHARED = "the load shares the server's {} cores"


@dataclass
class Row:
    """One server under one kind of load. What could not be measured is None, and `note` says why."""

    key: str
    server: str
    workers: int
    connections: int
    rows_a_request: int
    requests_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_ms_per_request: float | None = None
    rss_mb: float | None = None
    rows_per_s: float | None = None  # of batches
    rounds: list[float] = field(default_factory=list)  # requests a second, round by round
    note: str = ""

    def fill(self, measured: Sequence[Measured], notes: Sequence[str]) -> None:
        """Take the medians."""
        said = [*notes, *(one.told for one in measured if one.told)]
        others = median(one.others for one in measured) if measured else 0.0
        if others > OTHERS:
            said.append(f"other programs took {others:.1f} cores meanwhile")
        self.note = "; ".join(dict.fromkeys(said))
        if not measured:
            return
        rate = median(one.requests_per_s for one in measured)
        self.requests_per_s = _digits(rate)
        self.p50_ms = _digits(median(one.p50_ms for one in measured))
        self.p99_ms = _digits(median(one.p99_ms for one in measured))
        self.cpu_ms_per_request = _digits(median(one.cpu_ms_per_request for one in measured))
        self.rss_mb = round(median(one.rss_mb for one in measured))
        self.rows_per_s = _digits(rate * self.rows_a_request) if self.rows_a_request > 1 else None
        self.rounds = [_digits(one.requests_per_s) for one in measured]


def _digits(value: float, digits: int = 4) -> float:
    """Rounded to so many digits that count."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded >= 1000 else rounded


class Bench:
    """The measurements so far."""

    def __init__(self, chosen: Sequence[Contender], prepared: Prepared, seconds: float) -> None:
        self._chosen, self._prepared, self._seconds = chosen, prepared, seconds
        self._cells: dict[tuple[str, int, int], list[Measured]] = defaultdict(list)
        self._failed: dict[str, str] = {}
        self._checked: set[str] = set()

    def round(self) -> Iterator[str]:
        """Every server in turn; says after each what came out."""
        for one in self._chosen:
            if one.key not in self._failed:
                try:
                    self._measure(one)
                except FAILURES as error:
                    self._failed[one.key] = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                rates = [self._cells[one.key, *cell][-1:] for cell in CELLS]
                told = ", ".join(f"{rate[0].requests_per_s:,.0f}" for rate in rates if rate)
                yield f"{one.key}: {self._failed.get(one.key) or told + ' requests/s'}"

    def _measure(self, one: Contender) -> None:
        _, loads = one.cores()
        bodies = Bodies(one.protocol, self._prepared)
        with one.running(self._prepared) as server:
            if one.key not in self._checked:
                check(server, bodies)
                self._checked.add(one.key)
            for rows in (1, BATCH):
                warm_up(server, bodies, rows, BATCH_CONNECTIONS, loads)
            for rows, connections in CELLS:
                measured = measure(server, bodies, rows, connections, self._seconds, loads)
                self._cells[one.key, rows, connections].append(measured)

    def rows(self) -> list[Row]:
        made = []
        for one in self._chosen:
            servers, loads = one.cores()
            notes = [one.note] if one.note else []
            if set(loads) & set(servers):
                notes.append(SHARED.format(len(servers)))
            if one.key in self._failed:
                notes.append(self._failed[one.key])
            for rows, connections in CELLS:
                row = Row(one.key, one.name, one.workers, connections, rows)
                row.fill(self._cells[one.key, rows, connections], notes)
                made.append(row)
        return made


def table(rows: Sequence[Row]) -> str:
    heads = [
        "server",
        "workers",
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU ms each",
        "RSS MB",
        "rows/s",
        "note",
    ]
    lines = [heads]
    for row in rows:
        values = (row.requests_per_s, row.p50_ms, row.p99_ms, row.cpu_ms_per_request, row.rss_mb, row.rows_per_s)
        told = ["-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
        name = row.server + (f", batches of {row.rows_a_request:,}" if row.rows_a_request > 1 else "")
        lines.append([name, str(row.workers), str(row.connections), *told, row.note])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:-1], widths[1:]), line[-1]]).rstrip()
        for line in lines
    )


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """What the rows say of the targets; a figure whose rows were not measured is left out."""
    found = {(row.key, row.rows_a_request, row.connections): row for row in rows if row.requests_per_s}
    wanted = {
        "share of the ceiling at 16 connections": (("service", 1, 16), ("ceiling", 1, 16)),
        "share of the ceiling in batches": (
            ("service", BATCH, BATCH_CONNECTIONS),
            ("ceiling", BATCH, BATCH_CONNECTIONS),
        ),
        "times MLflow at 16 connections": (("service", 1, 16), ("mlflow", 1, 16)),
        "times MLflow as installed at 16 connections": (("service", 1, 16), ("mlflow-as-installed", 1, 16)),
        "times MLflow in batches": (("service", BATCH, BATCH_CONNECTIONS), ("mlflow", BATCH, BATCH_CONNECTIONS)),
        "times FastAPI with DataFrame and pipeline at 16 connections": (("service", 1, 16), ("fastapi", 1, 16)),
        "two workers over one at 16 connections": (("service2", 1, 16), ("service", 1, 16)),
        "two workers over one at 64 connections": (("service2", 1, 64), ("service", 1, 64)),
    }
    told = {
        what: round(found[ours].requests_per_s / found[theirs].requests_per_s, 2)
        for what, (ours, theirs) in wanted.items()
        if ours in found and theirs in found
    }
    ours, theirs = found.get(("service", 1, 16)), found.get(("ceiling", 1, 16))
    if ours and theirs:  # upset least by whatever else the machine does
        share = theirs.cpu_ms_per_request / ours.cpu_ms_per_request
        told["share of the ceiling at 16 connections, by CPU time"] = round(share, 2)
    for key in ("service", "ceiling"):
        if row := found.get((key, 1, 64)):
            told[f"p99 over p50 at 64 connections, {key}"] = round(row.p99_ms / row.p50_ms, 2)
    return told


def machine() -> dict[str, object]:
    """What the figures depend on."""
    versions = {name: _version(name) for name in HERE}
    versions |= {name: _pinned(SERVING[1], name) for name in ("mlflow", "litserve")}
    versions["bentoml"] = _pinned(BENTOML[1], "bentoml")
    return {
        "cores": len(usable()),
        "physical_cores": psutil.cpu_count(logical=False),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
        "versions": versions,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # gunicorn and uvloop on Windows
        return None


def _pinned(lock: str, name: str) -> str:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{name}=="))


def main(argv: list[str] | None = None) -> int:
    there = contenders()
    keys = [one.key for one in there]
    parser = argparse.ArgumentParser(prog="bench.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each cell (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="over all servers (default 3)")
    parser.add_argument("--only", default=",".join(keys), help=f"some of {','.join(keys)}")
    parser.add_argument("--out", type=Path, help="default: bench/serving.json; with --only, none")
    options = parser.parse_args(argv)
    only = options.only.split(",")
    if unknown := sorted(set(only) - set(keys)):
        parser.error(f"--only: there is no {', '.join(unknown)}; there are {', '.join(keys)}")
    chosen = [one for one in there if one.key in only]
    out = options.out or (Path(__file__).with_suffix(".json") if len(chosen) == len(there) else None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, as by Ctrl-C
    told = machine()
    if told["load_before"] > 0.5:
        print(f"the machine is at work already (load {told['load_before']}): what follows is slower than it would be")
    with tempfile.TemporaryDirectory(prefix="bench-serving-", ignore_cleanup_errors=True) as folder:
        bench = Bench(chosen, prepare(Path(folder).resolve()), options.seconds)
        for number in range(options.rounds):
            for line in bench.round():
                print(f"round {number + 1}, {line}", file=sys.stderr, flush=True)
    rows = bench.rows()
    print(table(rows))
    for what, value in summary(rows).items():
        print(f"{what}: {value}")
    if out:
        options = {"seconds": options.seconds, "rounds": options.rounds}
        result = {"machine": told, "options": options, "rows": [asdict(row) for row in rows], "summary": summary(rows)}
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8", newline="\n")
        if out == Path(__file__).with_suffix(".json"):
            write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
