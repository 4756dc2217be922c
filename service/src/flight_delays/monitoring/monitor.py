"""The default monitor: told of each day, it says which alarms are in force.

It puts the parts together for windows that end today: faults in the data on one day and on three,
drift on a day and a week, decay on three days, a week and two weeks of those whose
labels have come. All limits were learned from the reference for a stated number of false alarms a
year, all of it together.

Whoever is called wants to know one thing first: is it the data, the flights, or the model? So there
are three alarms and not one for each feature; what failed stands in the alarm. An alarm stays in
force until nothing has failed for `HOLD_DAYS`: a figure that wavers around its limit calls once.

A day costs a few milliseconds, so that years can be simulated. Needs NumPy only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.bins import CHECKED
from flight_delays.monitoring.decay import complete_days
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.quality import faults
from flight_delays.monitoring.signals import FAULT_LENGTHS, ROW_FAULTS, psi_table, usual_days
from flight_delays.monitoring.slices import slices_of
from flight_delays.monitoring.summary import Summary, summary_of
from flight_delays.monitoring.thresholds import DRIFT_SHARE
from flight_delays.monitoring.trailing_decay import TrailingDecay

if TYPE_CHECKING:
    from flight_delays.monitoring.reference import Reference

QUALITY, DRIFT, DECAY = "quality", "drift", "decay"
HOLD_DAYS = 14
_SLOWEST_LABELS = 42  # days after which a label that comes is not counted any more


@dataclass(frozen=True)
class Alarm:
    """An alarm in force.

    Attributes:
        kind: `quality`, `drift` or `decay`.
        since: the day on which it was raised.
        checks: what has failed since then, each once, in the order in which it failed.
    """

    kind: str
    since: date
    checks: tuple[str, ...]


class Labels(Protocol):
    """Labels that came on a day; arrays with one entry a flight.

    Attributes:
        day: of the flight, datetime64[D].
        matrix, probabilities: of its prediction.
        late: whether it was.
    """

    day: NDArray[np.datetime64]
    matrix: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    late: NDArray[np.bool_]


class Monitor:
    """Follows one model day by day. `decay`, the costly part, may be shared by many monitors."""

    def __init__(self, reference: Reference, decay: TrailingDecay | None = None) -> None:
        self.reference = reference
        rate = reference.thresholds.rate * (1 - DRIFT_SHARE)
        self._decay = TrailingDecay.learn(reference.outcomes, rate) if decay is None else decay
        self._expected = reference.summary.total()
        self._vocabulary = reference.bins.vocabulary
        self._days: deque[Summary] = deque(maxlen=max(FAULT_LENGTHS))
        self._counts: deque[dict[str, NDArray[np.int64]]] = deque(
            maxlen=max(reference.thresholds.location)
        )
        self._outcomes = Outcomes.none()
        self._alarms: dict[str, Alarm] = {}
        self._failed_on: dict[str, date] = {}

    def day(
        self,
        day: date,
        matrix: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        labels: Labels | None = None,
    ) -> tuple[Alarm, ...]:
        """Take in the flights of a day and the labels that came on it; return what is in force.

        Args:
            day: later than the one before.
            matrix: with the codes of the reference's bins, shape (rows, features).
        """
        of_row = np.full(len(matrix), np.datetime64(day, "D"))
        summary = summary_of(of_row, matrix, probabilities, self.reference.bins)
        if len(summary):
            self._days.append(summary)
            self._counts.append({name: counts[0] for name, counts in summary.counts.items()})
        self._take_labels(day, of_row, matrix, probabilities, labels)
        found = {
            QUALITY: self._quality() if len(summary) else ["no flights"],
            DRIFT: self._drift() if len(summary) else [],
            DECAY: self._decay_checks(day),
        }
        for kind, checks in found.items():
            self._note(kind, day, checks)
        return self.alarms

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What is in force."""
        return tuple(self._alarms.values())

    def _quality(self) -> list[str]:
        window = Summary.joined(self._days)
        # Only windows that end today: the others were judged on their days.
        found = [
            fault.kind if fault.kind in ROW_FAULTS else f"{fault.kind} {name}"
            for fault in faults(self.reference, window)
            for name, wrong in zip(CHECKED, fault.wrong[-1], strict=False)
            if wrong
        ]
        low, high = self.reference.thresholds.rows
        return found if low <= window.rows[-1] <= high else [*found, "flights a day"]

    def _drift(self) -> list[str]:
        thresholds, newest = self.reference.thresholds, list(self._counts)
        lengths = [length for length in thresholds.location if length <= len(newest)]
        windows = {
            name: np.stack([sum(day[name] for day in newest[-length:]) for length in lengths])
            for name in CHECKED
        }
        values = psi_table(windows, self._expected)
        failed = np.zeros(len(CHECKED), bool)
        usual = usual_days(np.array([day[CHECKED[0]].sum() for day in newest]))[-1]
        for row, length in zip(values, lengths, strict=True):
            if length == 1 and not usual:
                continue
            failed |= thresholds.scores(row, length) > thresholds.score
        return [CHECKED[at] for at in np.flatnonzero(failed)]

    def _take_labels(
        self,
        day: date,
        of_row: NDArray[np.datetime64],
        matrix: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        labels: Labels | None,
    ) -> None:
        """Count the day's flights as waiting, and let those wait no longer whose labels came."""
        unknown = np.full(len(of_row), np.nan)
        outcomes = self._outcomes + Outcomes.count(of_row, probabilities, unknown)
        if labels is not None and len(labels.late):
            slices = slices_of(labels.matrix, self._vocabulary)
            came = Outcomes.count(labels.day, labels.probabilities, labels.late, slices)
            outcomes = outcomes + no_longer_waiting(came)
        self._outcomes = outcomes.between(np.datetime64(day, "D") - _SLOWEST_LABELS, day)

    def _decay_checks(self, day: date) -> list[str]:
        complete = self._outcomes.of(complete_days(self._outcomes, day))
        return self._decay.failed(complete)

    def _note(self, kind: str, day: date, checks: list[str]) -> None:
        if checks:
            self._failed_on[kind] = day
            old = self._alarms.get(kind)
            since, known = (old.since, old.checks) if old else (day, ())
            self._alarms[kind] = Alarm(kind, since, tuple(dict.fromkeys([*known, *checks])))
        elif kind in self._alarms and (day - self._failed_on[kind]).days >= HOLD_DAYS:
            del self._alarms[kind]


def no_longer_waiting(came: Outcomes) -> Outcomes:
    """Labels of flights that were counted as waiting, to be added to them."""
    return replace(came, waiting=-(came.late + came.punctual))
