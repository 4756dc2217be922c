"""How long it takes, and how much memory, to summarise a prediction log of ten million flights.

    python -m bench.monitoring_scale                 ten million requests of one flight each
    python -m bench.monitoring_scale --batch 1000    in batches
    python -m bench.monitoring_scale --rows 500000   a short trial

Writes a log of real flights of 2013, again and again over the year's days, into a temporary folder (about 2 GB), then
summarises it by the command of the service in a process of its own. Target: under 60 s, within 2 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

import numpy as np

import flight_delays
from bench.monitoring import TRAINED_THROUGH, train_bundle
from flight_delays.bundle import Bundle, load_bundle, run_model
from flight_delays.features import encode
from flight_delays.flights import columns_of, load_flights
from flight_delays.monitoring.reference import make_reference
from flight_delays.prediction_log import PredictionLog, _insert, _open

ROWS = 10_000_000
TARGET_S, TARGET_MIB = 60, 2048
REQUESTS = 128  # in one statement
DAY_S = 86_400


def write_log(path: Path, bundle: Bundle, rows: int, batch: int) -> None:
    """A log as the service writes it, by the service's own statements, without its queue."""
    flights = load_flights()
    matrix = encode(columns_of(flights), bundle.vocabulary)
    probabilities = run_model(bundle.session, matrix)
    with PredictionLog(path) as log:
        log.know(bundle.version, bundle.vocabulary)
    day = flights["departure"].dt.dayofyear.to_numpy() - 1
    begin = datetime(2013, 1, 1, tzinfo=UTC).timestamp()
    rounds = -(-rows // len(flights))
    order = np.repeat(np.argsort(day, kind="stable"), rounds)[:rows]
    seconds = begin + day[order] * DAY_S + np.arange(rows) % DAY_S

    def records() -> Iterator[tuple]:
        for start in range(0, rows, batch):
            these = order[start : start + batch]
            yield (
                f"{start:032x}", float(seconds[start]), bundle.version, len(these),
                matrix[these].tobytes(), probabilities[these].tobytes(), None,
            )  # fmt: skip

    source = records()
    with closing(_open(path)) as connection:
        while True:
            with connection:
                for _ in range(200):
                    some = list(islice(source, REQUESTS))
                    if not some:
                        return
                    connection.execute(_insert(len(some)), [value for record in some for value in record])


def measured(command: list[str]) -> str:
    """What a command writes to stderr, and, where the system tells, its time on a core and the most memory it had."""
    source = str(Path(flight_delays.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    told = process.stderr.read()
    if not hasattr(os, "wait4"):
        process.wait()
        return told.strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"the summary ended with {process.returncode}: {told[-2000:]}")
    memory = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return f"{told.strip()}; the process in all {usage.ru_utime + usage.ru_stime:.1f} s of one core, {memory:,.0f} MiB"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.monitoring_scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--batch", type=int, default=1, help="flights a request (default %(default)s)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bench-scale-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder).resolve()
        flights = load_flights()
        bundle = load_bundle(train_bundle(folder, TRAINED_THROUGH, flights))
        reference = folder / "reference.json"
        # Of days after the training, so that no model has to be trained to hold days out.
        make_reference(bundle, flights, date(2013, 7, 1), date(2013, 12, 29)).write(reference)
        log = folder / "predictions.sqlite"
        write_log(log, bundle, options.rows, options.batch)
        size = log.stat().st_size / 2**20
        print(f"a log of {options.rows:,} predictions in requests of {options.batch}: {size:,.0f} MiB")
        command = [sys.executable, "-m", "flight_delays", "monitoring", "summary"]
        print(measured([*command, "--reference", str(reference), "--log", str(log)]))
    print(f"target: {ROWS:,} in under {TARGET_S} s, within {TARGET_MIB:,} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
