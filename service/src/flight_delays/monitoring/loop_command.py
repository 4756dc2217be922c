"""`python -m flight_delays monitoring turn` and `replay`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flight_delays.monitoring.options import add_time, time_of

if TYPE_CHECKING:
    from flight_delays.monitoring.journal import Turn

OUTSIDE = 4  # the exit code for what could not be finished, as of the pipeline
WINDOW_DAYS = 28


def add_turn(parsers: argparse._SubParsersAction, day: Callable, add_project: Callable) -> None:
    """Add the sub-command `turn`."""
    parser = parsers.add_parser(
        "turn",
        help="one turn of the loop: look, decide, act",
        description="Look at a window of the prediction log, decide, and act: quarantine, wait, "
        "watch, retrain by the pipeline, or nothing. With --inbox only if an alert waits there. "
        "The service is named by PIPELINE_SERVICE_URL and PIPELINE_SERVICE_KEY. Exit codes: 0 "
        "done; 1 wrong options or files; 4 could not be finished, run it again.",
    )
    parser.add_argument(
        "--loop", type=Path, required=True, metavar="FOLDER", help="journal and references"
    )
    parser.add_argument(
        "--state", type=Path, required=True, metavar="FOLDER", help="the service's, with its log"
    )
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="FILE", help="the store of labels"
    )
    add_project(parser)
    parser.add_argument("--last", type=day, help="last day of the window (default: yesterday)")
    parser.add_argument(
        "--days", type=int, default=WINDOW_DAYS, help="days of the window (default: %(default)s)"
    )
    parser.add_argument("--as-of", type=day, help="labels known by this day (default: today)")
    parser.add_argument("--inbox", type=Path, metavar="FOLDER", help="where the watch puts alerts")
    add_time(parser)
    parser.set_defaults(run=_turn)


def add_replay(parsers: argparse._SubParsersAction, day: Callable, add_project: Callable) -> None:
    """Add the sub-command `replay`."""
    parser = parsers.add_parser(
        "replay",
        help="2013 through a running service, with a turn of the loop each month",
        description="Train on January to June, start the service, send the flights of the rest of "
        "the year day by day, and let the loop take a turn at the end of each month.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="for all that is made"
    )
    add_project(parser)
    parser.add_argument(
        "--scenario", type=Path, metavar="FILE", help="changes made on purpose, see scenarios/"
    )
    parser.add_argument(
        "--first", type=day, default=date(2013, 7, 1), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--last", type=day, default=date(2013, 12, 31), help="(default: %(default)s)"
    )
    parser.set_defaults(run=_replay)


def _turn(options: argparse.Namespace) -> int:
    from flight_delays.monitoring.inbox import Inbox
    from flight_delays.monitoring.loop import Loop, LoopBusy, LoopFailed, LoopPlace

    today = datetime.now(UTC).date()
    last = options.last or today - timedelta(days=1)
    if options.days < 1:
        raise ValueError(f"--days: expected 1 or more, found {options.days}")
    inbox = Inbox(options.inbox) if options.inbox else None
    loop = Loop(
        LoopPlace(
            folder=options.loop,
            state=options.state,
            labels=options.labels,
            project=options.project,
            environment=os.environ,
            time_of=time_of(options),
            changes=dict(options.set),
        )
    )
    try:
        if (cut_short := loop.finish()) is not None:
            _tell([f"went on with turn {cut_short.number}", *describe(cut_short)])
        alerts = inbox.waiting() if inbox else []
        if inbox and not alerts:
            print("no alert waits, nothing to do")
            return 0
        turn = loop.turn(
            last - timedelta(days=options.days - 1),
            last,
            options.as_of or today,
            [alert.identity for alert in alerts],
        )
    except (LoopBusy, LoopFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return OUTSIDE
    if inbox:
        inbox.done(alerts)
    _tell(describe(turn))
    return 0


def describe(turn: Turn) -> list[str]:
    """Say what a turn saw, decided and did, a line each."""
    figures = {"flights": f"{turn.figures.get('rows', 0):,.0f}"}
    figures |= {
        name: f"{turn.figures[name]:.3f}"
        for name in ("roc_auc", "estimated_roc_auc", "log_loss", "late_share", "mean_prediction")
        if name in turn.figures
    }
    lines = [
        *turn.injected,
        f"turn {turn.number}: {turn.first} to {turn.last}, labels as of {turn.as_of}",
        "seen       " + ", ".join(f"{name} {value}" for name, value in figures.items()),
        f"decided    {turn.action}",
        *(f"why        {reason}" for reason in turn.reasons),
    ]
    if turn.outcome is not None:
        lines.append(f"done       {turn.outcome.done}")
        lines += [f"           {reason}" for reason in turn.outcome.reasons]
        lines.append(f"champion   {turn.outcome.champion}")
    return lines


def _replay(options: argparse.Namespace) -> int:
    from flight_delays.monitoring.loop import LoopBusy, LoopFailed
    from flight_delays.monitoring.replay import Replay, replay, table
    from flight_delays.monitoring.scenario import read_scenario

    if options.scenario is None:
        print("the real year, nothing injected", flush=True)
    else:
        _tell(read_scenario(options.scenario).told())
    what = Replay(
        folder=options.out,
        project=options.project,
        first=options.first,
        last=options.last,
        scenario=options.scenario,
        changes=dict(options.set),
    )
    rows = []
    try:
        for row in replay(what):
            rows.append(row)
            print(f"{row.first:%Y-%m}: {row.turn.action}", file=sys.stderr, flush=True)
    except (LoopBusy, LoopFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return OUTSIDE
    finally:
        if rows:
            print(table(rows))
    return 0


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)
