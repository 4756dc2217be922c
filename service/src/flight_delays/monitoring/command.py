"""`python -m flight_delays monitoring ...`: the sub-commands, each from the module that owns it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date

Day = Callable[[str], date]
"""The type of an option that other commands have as well."""
AddOptions = Callable[[argparse.ArgumentParser], None]
"""Adds options that other commands have as well."""


def add_commands(parser: argparse.ArgumentParser, day: Day, add_project: AddOptions) -> None:
    """Add the sub-commands."""
    from flight_delays.monitoring.loop_command import add_replay, add_turn
    from flight_delays.monitoring.reference_command import add_reference, add_summary
    from flight_delays.monitoring.report_command import add_labels, add_report
    from flight_delays.monitoring.watch_command import add_watch

    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    add_reference(parsers)
    add_labels(parsers)
    add_summary(parsers)
    add_report(parsers)
    add_watch(parsers)
    add_turn(parsers, day, add_project)
    add_replay(parsers, day, add_project)
