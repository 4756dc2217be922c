"""`monitoring labels` puts labels into their store, `monitoring report` tells what is known."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from flight_delays.monitoring.options import add_days, add_log, time_of

# What runs is imported where it runs: the parser must not load pandas.


def add_labels(parsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `labels`."""
    parser = parsers.add_parser(
        "labels",
        help="put labels that arrived into the store",
        description="Put labels from CSV files (request_id, row, late, known_at) into the store. "
        "The same file twice changes nothing.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="the store")
    parser.add_argument("--log", type=Path, metavar="FILE", help="count those it does not know")
    parser.set_defaults(run=_labels)


def _labels(options: argparse.Namespace) -> None:
    from flight_delays.monitoring.labels import LabelStore, read_labels

    with LabelStore(options.labels) as store:
        for path in options.files:
            print(f"{path.name}: {store.add(read_labels(path)):,} labels")
        counts = store.counts()
        print(
            f"{counts.flights:,} flights have a label; of {counts.received:,} labels "
            f"{counts.doubled:,} came again, {counts.contradicted:,} contradicted another"
        )
        if options.log is not None:
            print(f"{store.waiting(options.log):,} wait for a request that the log does not know")


def add_report(parsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `report`."""
    parser = parsers.add_parser(
        "report",
        help="tell what is known about some days: data, drift, decay, scores",
        description="Print the findings about some days and the scores of their labelled flights; "
        "with --html, write Evidently's report as well. Decides nothing.",
    )
    file = {"type": Path, "metavar": "FILE"}
    add_log(parser)
    parser.add_argument("--labels", help="the store of labels", **file)
    add_days(parser, required=True)
    parser.add_argument(
        "--as-of",
        type=date.fromisoformat,
        metavar="DAY",
        help="labels known by then count (default: today)",
    )
    parser.add_argument("--html", help="where Evidently's report goes", **file)
    parser.set_defaults(run=_report, needs="reports need flight-delays[train,pipeline,monitoring]")


def _report(options: argparse.Namespace) -> None:
    from flight_delays.monitoring.evidence import gather
    from flight_delays.monitoring.labels import LabelStore
    from flight_delays.monitoring.reference import Reference

    reference = Reference.read(options.reference)
    as_of = options.as_of or date.today()
    with ExitStack() as stack:
        labels = options.labels and stack.enter_context(LabelStore(options.labels))
        of = options.log, labels, options.first, options.last, as_of, time_of(options)
        print(gather(reference, *of, all_together=True).to_text())
        _more(reference, of, options.html)


def _more(reference, of, html: Path | None) -> None:
    """The scores, where there are labels of both kinds, and the HTML."""
    from flight_delays.monitoring.decay import complete
    from flight_delays.monitoring.performance import performance
    from flight_delays.monitoring.report import write_report
    from flight_delays.monitoring.window import read_window

    window = read_window(*of, vocabulary=reference.bins.vocabulary)
    judged = complete(window)
    if 0 < (judged.late == 1).sum() < judged.known.sum():
        print(f"\n{performance(judged).to_table()}")
    if html is not None:
        print(f"\n{write_report(reference, window, html)}")
