"""Looks at the prediction log again and again, and keeps what it saw for Prometheus.

A look costs what is new: the rows that the log has got since the last one, and the labels only if
any came. It judges whole days, since half a day has another mix of flights and half of its rows.

    the last day, the last 7    drift, against the limits of each length
    the last 7                  quality: a fault that was mended is no alert a month later
    the last 28                 performance, and its decay

A look that fails, because there is no reference yet or the disk is gone, keeps the old snapshot,
whose age is a metric with an alert of its own. The next look may succeed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from flight_delays.monitoring.clock import TimeOf, bounds, by_clock, day_of
from flight_delays.monitoring.decay import complete_days, decay_of
from flight_delays.monitoring.drift import drift, psi_of
from flight_delays.monitoring.exporter import Snapshot
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.quality import quality
from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.scan import scan
from flight_delays.monitoring.slices import slices_of
from flight_delays.monitoring.summary import Summariser, Summary
from flight_delays.monitoring.window import Codes
from flight_delays.pipeline.findings import Findings
from flight_delays.prediction_log import read_vocabularies

DAYS = 28
FAULT_DAYS = 7
_log = logging.getLogger(__name__)

_Signature = tuple[tuple[int, int] | None, ...]


class Watch:
    """What is known of the newest days of one prediction log.

    Attributes:
        snapshot: the newest look that succeeded; None before the first.
        rows_read: predictions read from the log since the start.
        failures: looks that failed since the start.
    """

    def __init__(
        self,
        log: Path,
        reference: Path,
        labels: Path | None = None,
        *,
        days: int = DAYS,
        time_of: TimeOf = by_clock,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet: the files may come later.

        Args:
            reference: file from `Reference.write`; read again whenever it changes.
            labels: file of a `LabelStore`; None for a watch that sees no performance.
            days: of the window for drift and performance.
            time_of: which time a prediction belongs to, see `clock.py`.
            now: seconds since 1970, UTC.
        """
        if days < 1:
            raise ValueError(f"days: expected 1 or more, found {days}")
        self.snapshot: Snapshot | None = None
        self.rows_read = self.failures = 0
        self._log, self._labels = Path(log), labels and Path(labels)
        self._reference_file = Path(reference)
        self._days, self._time_of, self._now = days, time_of, now
        self._reference: Reference | None = None
        self._reference_seen: _Signature = ()
        self._summariser: Summariser | None = None
        self._judged: tuple[Any, ...] = ()  # what the snapshot was made of
        self._told = ""

    def look(self) -> bool:
        """Bring the snapshot up to date; return False, and say why in the log, if that failed."""
        try:
            self.snapshot = self._see()
        except Exception as error:  # whatever it is, the next look may succeed
            self.failures += 1
            text = f"{type(error).__name__}: {error}"
            if text != self._told:  # once, not every 15 seconds
                _log.error("nothing new was seen: %s", text)
            self._told = text
            return False
        if self._told:
            _log.warning("seen again")
        self._told = ""
        return True

    def _see(self) -> Snapshot:
        now = self._now()
        reference, summariser = self._follow()
        labels = _signature(self._labels) if self._labels else ()
        self.rows_read += summariser.read(self._log, self._oldest(now), time_of=self._time_of)
        today = self._today(summariser, now)
        judged = (self._reference_seen, summariser.last_id, labels, today)
        if self.snapshot is not None and judged == self._judged:
            return replace(self.snapshot, at=now)
        window = _trailing(summariser.summary(), today, self._days)
        if not len(window):
            snapshot = Snapshot(now, figures={"window_rows": 0.0})
        else:
            snapshot = self._judge(reference, window, today, now)
        self._judged = judged
        return snapshot

    def _follow(self) -> tuple[Reference, Summariser]:
        """Read the reference if it is new; then everything is counted again, in its bins."""
        seen = _signature(self._reference_file)
        if self._reference is None or seen != self._reference_seen:
            self._reference = Reference.read(self._reference_file)
            self._reference_seen = seen
            self._summariser = Summariser(self._reference.bins)
            _log.info("watching with the reference of %s", self._reference.version)
        return self._reference, self._summariser

    def _oldest(self, now: float) -> date | None:
        """Older predictions are not read, where the log can tell by its index which those are."""
        if self._time_of is not by_clock:
            return None
        return _day(now) - timedelta(days=self._days + 1)

    def _today(self, summariser: Summariser, now: float) -> date | None:
        """The day that is not over: by the clock, or else the newest one in the log."""
        if self._time_of is by_clock:
            return _day(now)
        days = summariser.summary().days
        return days[-1].astype(object) if len(days) else None

    def _judge(self, reference: Reference, window: Summary, today: date, now: float) -> Snapshot:
        first, last = window.days[0].astype(object), window.days[-1].astype(object)
        outcomes = self._outcomes(reference, first, last, today)
        faults = quality(reference, _trailing(window, today, FAULT_DAYS))
        windows = self._windows(reference, window, today)
        drifts, decays = Findings(), None
        for some in windows.values():
            drifts += drift(reference, some)
        if outcomes is not None:
            complete = outcomes.of(complete_days(outcomes, today))
            decays = decay_of(reference.outcomes, complete)
        return Snapshot(
            now,
            first,
            last,
            _shares(reference, window),
            _distances(reference, windows),
            {"silent_days": float((today - last).days - 1)}
            | _figures(window, outcomes, faults, drifts, decays),
            faults,
            drifts,
            decays,
        )

    def _windows(self, reference: Reference, window: Summary, today: date) -> dict[int, Summary]:
        """The newest days in each length that has limits, if the log reaches back so far.

        A day without flights is left out; `drift` then takes the wider limit of a shorter window.
        """
        windows, days = {}, 0
        for length in sorted(reference.thresholds.location):
            some = _trailing(window, today, length)
            if len(some) > days:  # else it says what the shorter one has said
                windows[length], days = some, len(some)
        return windows

    def _outcomes(
        self, reference: Reference, first: date, last: date, today: date
    ) -> Outcomes | None:
        """Count predictions and labels of some days, a part of the log at a time."""
        if self._labels is None or not self._labels.is_file():
            return None
        since, until = bounds(first, last, self._time_of)
        vocabulary = reference.bins.vocabulary
        total = Outcomes.none()
        with LabelStore(self._labels) as store:
            for part in scan(self._log, since=since, until=until):
                codes = Codes(read_vocabularies(self._log), vocabulary)
                day, late = day_of(self._time_of(part.chunk)), store.join(part.chunk, today)
                dated = ~np.isnat(day)
                slices = slices_of(codes.recode(part.chunk)[dated], vocabulary)
                total = total + Outcomes.count(
                    day[dated], part.chunk.probabilities[dated], late[dated], slices
                )
        return total.between(first, last)


@contextmanager
def watching(watch: Watch, every: float) -> Iterator[None]:
    """Look every so many seconds, in a thread, for as long as the block lasts."""
    stop = Event()

    def run() -> None:
        watch.look()
        while not stop.wait(every):
            watch.look()

    thread = Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _trailing(summary: Summary, today: date | None, days: int) -> Summary:
    """The whole days of the last `days` before today."""
    if today is None:
        return summary.take(np.empty(0, np.intp))
    return summary.between(today - timedelta(days=days), today - timedelta(days=1))


def _distances(
    reference: Reference, windows: dict[int, Summary]
) -> dict[str, dict[tuple[str, int], float]]:
    psi, limit = {}, {}
    for length, window in windows.items():
        for name, (value, bound) in psi_of(reference, window).items():
            psi[name, length], limit[name, length] = value, bound
    return {"drift_psi": psi, "drift_limit": limit}


def _shares(reference: Reference, window: Summary) -> dict[str, dict[str, float]]:
    total, rows = window.total(), int(window.rows.sum())
    missing, unknown = {}, {}
    for scale in reference.bins.scales:
        counts = total[scale.name]
        missing[scale.name] = counts[scale.missing] / rows
        if scale.kind == "category":
            unknown[scale.name] = counts[list(scale.strange)].sum() / rows
    return {"missing_share": missing, "unknown_share": unknown}


def _figures(
    window: Summary,
    outcomes: Outcomes | None,
    faults: Findings,
    drifts: Findings,
    decays: Findings | None,
) -> dict[str, float]:
    figures = {
        "window_rows": float(window.rows.sum()),
        "quality_faults": float(len(faults.failed)),
        "drift_faults": float(len(drifts.failed)),
    }
    if decays is not None:
        figures["decay_faults"] = float(len(decays.failed))
    if outcomes is not None:
        figures["labelled_share"] = float(outcomes.labelled.sum() / max(outcomes.rows.sum(), 1))
        for name in ("late_share", "mean_prediction", "log_loss", "roc_auc"):
            value = float(getattr(outcomes, name)(outcomes.once)[0])
            if np.isfinite(value):  # of no labelled flight there is no such figure
                figures[name] = value
    return figures


def _signature(path: Path) -> _Signature:
    """Changes when a file does, a SQLite one with its write-ahead log as well."""
    return tuple(map(_stat, (path, path.with_name(f"{path.name}-wal"))))


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()
