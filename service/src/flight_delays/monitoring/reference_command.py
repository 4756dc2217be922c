"""`monitoring reference` learns what to compare with, `monitoring summary` counts a log by day."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from flight_delays.monitoring.options import add_days, add_log, time_of

# What runs is imported where it runs: the parser must not load NumPy or pandas.


def add_reference(parsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `reference`."""
    parser = parsers.add_parser(
        "reference",
        help="learn a model's reference: bins, counts by day, thresholds, outcomes",
        description="Learn what monitoring compares with from the flights that a model was trained "
        "on, or from other days whose labels are known, and write it as one JSON file.",
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    day = {"type": date.fromisoformat, "metavar": "DAY"}
    parser.add_argument("--first", help="(default: the first day of its training)", **day)
    parser.add_argument("--last", help="(default: the last day of its training)", **day)
    parser.add_argument(
        "--false-alarms",
        type=float,
        metavar="RATE",
        help="a year, of the whole monitor, from which the thresholds follow (default: "
        "thresholds.RATE)",
    )
    parser.set_defaults(run=_reference, needs="a reference needs flight-delays[train]")


def _reference(options: argparse.Namespace) -> None:
    from flight_delays.bundle import load_bundle
    from flight_delays.flights import load_flights
    from flight_delays.monitoring.reference import make_reference
    from flight_delays.monitoring.thresholds import RATE

    bundle = load_bundle(options.bundle)
    data = bundle.info.data
    reference = make_reference(
        bundle,
        load_flights(),
        options.first or data.first,
        options.last or data.last,
        rate=options.false_alarms or RATE,
    )
    path = reference.write(options.out)
    rows = int(reference.summary.rows.sum())
    print(f"{path}: {reference.version}, {rows:,} flights, {reference.first} to {reference.last}")


def add_summary(parsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `summary`."""
    parser = parsers.add_parser(
        "summary",
        help="count a prediction log by day",
        description="Count the predictions of a log by day in the bins of a reference; print a "
        "line for each day, or write all counts as JSON. Streams the log, however long it is.",
    )
    add_log(parser)
    add_days(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all counts go")
    parser.set_defaults(run=_summary)


def _summary(options: argparse.Namespace) -> None:
    import json
    import sys
    from time import perf_counter

    from flight_delays.monitoring.reference import Reference
    from flight_delays.monitoring.summary import summarise

    reference = Reference.read(options.reference)
    start = perf_counter()
    first, last = options.first, options.last
    found = summarise(options.log, reference.bins, first, last, time_of(options))
    took = perf_counter() - start
    rows = int(found.rows.sum())
    print(f"{rows:,} predictions of {len(found)} days in {took:.1f} s", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(found.to_json()), encoding="utf-8")
        return
    print(f"{'day':10}  {'flights':>9}  {'twice':>6}  PSI of the prediction")
    for line in _lines(reference, found):
        print(line)


def _lines(reference, found):
    from flight_delays.monitoring.bins import PREDICTION
    from flight_delays.monitoring.distances import psi

    values = psi(reference.summary.total()[PREDICTION], found.counts[PREDICTION])
    for day, rows, repeated, value in zip(
        found.days, found.rows, found.repeated, values, strict=True
    ):
        yield f"{day}  {rows:9,}  {repeated:6,}  {value:.3f}"
