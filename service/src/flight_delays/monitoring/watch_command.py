"""`python -m flight_delays monitoring watch`: the watch as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

from flight_delays.monitoring.options import add_time, time_of

PORT = 9464


def add_watch(parsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `watch`."""
    parser = parsers.add_parser(
        "watch",
        help="look at the log all the time, for Prometheus; take alerts in",
        description="Look at the newest whole days of the prediction log every few seconds, show "
        "what was found at /metrics and /findings, and put the alerts that Alertmanager sends to "
        "/alerts into an inbox. It starts without log, labels or reference and waits for them. "
        "SIGTERM or Ctrl-C ends it.",
    )
    parser.add_argument(
        "--state", type=Path, required=True, metavar="FOLDER", help="the service's, with its log"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        required=True,
        metavar="FILE",
        help="from `monitoring reference`; read again whenever it changes",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="store of labels, for the performance"
    )
    parser.add_argument(
        "--inbox", type=Path, metavar="FOLDER", help="for alerts (default: STATE/inbox)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=PORT, help="0 for any that is free (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=_seconds, default=15.0, metavar="S", help="seconds (default: %(default)g)"
    )
    parser.add_argument(
        "--days", type=_days, default=28, help="days of the window (default: %(default)s)"
    )
    add_time(parser, "; request-id for a replay of old flights")
    parser.set_defaults(run=_watch)


def _watch(options: argparse.Namespace) -> None:
    from flight_delays.app import LOG_FILE
    from flight_delays.monitoring.inbox import Inbox
    from flight_delays.monitoring.watch import Watch, watching
    from flight_delays.monitoring.watch_app import make_watch_app, serve_watch
    from flight_delays.telemetry import LineWriter, configure_logging

    watch = Watch(
        options.state / LOG_FILE,
        options.reference,
        options.labels,
        days=options.days,
        time_of=time_of(options),
    )
    inbox = Inbox(options.inbox or options.state / "inbox")
    writer = LineWriter()
    configure_logging(writer, "info")
    try:
        with watching(watch, options.every):
            serve_watch(make_watch_app(watch, inbox), options.host, options.port)
    finally:
        writer.close()


def _seconds(text: str) -> float:
    return _above_zero(text, float, "seconds")


def _days(text: str) -> int:
    return int(_above_zero(text, int, "days"))


def _above_zero(text: str, read: type, what: str) -> float:
    try:
        value = read(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected {what} above 0, found {text!r}")
    return value
