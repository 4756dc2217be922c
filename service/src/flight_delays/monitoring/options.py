"""Options that several sub-commands of `monitoring` share."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flight_delays.monitoring.clock import TimeOf

CLOCK, REQUEST_ID = "clock", "request-id"


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add what names a log, what it is compared with, and where its days stand."""
    parser.add_argument(
        "--reference", type=Path, required=True, metavar="FILE", help="from `monitoring reference`"
    )
    parser.add_argument(
        "--log", type=Path, required=True, metavar="FILE", help="the prediction log"
    )
    parser.add_argument(
        "--by-request-id",
        action="store_const",
        dest="time",
        const=REQUEST_ID,
        default=CLOCK,
        help="the day of a flight stands in its request id, not on the clock",
    )


def add_days(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the first and the last day."""
    for name in ("--first", "--last"):
        parser.add_argument(name, type=date.fromisoformat, required=required, metavar="DAY")


def add_time(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the choice of what a prediction's day is read from."""
    parser.add_argument(
        "--time",
        choices=(CLOCK, REQUEST_ID),
        default=CLOCK,
        help=f"what a prediction's day is read from{more} (default: %(default)s)",
    )


def time_of(options: argparse.Namespace) -> TimeOf:
    """What was chosen; the options themselves load no NumPy."""
    from flight_delays.monitoring.clock import by_clock, by_request_id

    return {CLOCK: by_clock, REQUEST_ID: by_request_id}[options.time]
