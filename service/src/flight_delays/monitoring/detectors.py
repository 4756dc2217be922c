"""Change detectors on the stream of errors: each labelled flight is a value, in the order of days.

ADWIN (Bifet and Gavalda 2007) keeps a window and cuts it where its two parts differ. Page-Hinkley
(Page 1954) adds up what lies above the mean. DDM (Gama and others 2004) watches the share of wrong
decisions. All three take the values for independent draws. Flights of one day are late together:
fed flight by flight on January to June, at river's defaults, they go off 111 to 257 times in half a
year in which nothing changed, at every storm. Fed day by day they never do, and miss a concept
injected in August as well. So for the day of a change `change_of` feeds Page-Hinkley one value a
day of the figure that has left its limits, in standard deviations of a reference day.
They tell when something changed, not what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN, PageHinkley
from river.drift.binary import DDM

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.decay import measure, slice_statistics, statistics
from flight_delays.monitoring.estimate import calibration_of
from flight_delays.monitoring.outcomes import SMALLEST, Outcomes
from flight_delays.monitoring.window import Window

Kind = Literal["log loss", "wrong", "excess"]

DETECTORS: Mapping[str, Callable[[], Any]] = {
    "ADWIN": ADWIN,
    "PageHinkley": PageHinkley,
    "DDM": DDM,
}
"""At river's defaults."""


@dataclass(frozen=True)
class Change:
    """What a detector says.

    Attributes:
        day: of the flight with which it went off.
        since: when it began: the day that best splits the values since the alarm before.
        detector: ADWIN, PageHinkley or DDM.
        before, after: mean of the stream before `since`, back to the change before it, and from
            `since` through `day`.
    """

    day: date
    since: date
    detector: str
    before: float
    after: float

    @property
    def worse(self) -> bool:
        """Whether the errors have become larger."""
        return self.after > self.before


def errors(
    window: Window,
    kind: Kind = "log loss",
    threshold: float = 0.25,
    calibration: Calibration | None = None,
) -> NDArray[np.float64]:
    """The error of each flight, NaN where the label is not known; shape (flights,).

    Args:
        kind: "log loss"; "wrong", 1 where the decision at `threshold` was wrong, else 0; "excess",
            log loss less what the calibrated probability promised, which a change of the weather
            alone does not move.
        calibration: for "excess", see `estimate.calibration_of`; by default none is needed.
    """
    probability = np.clip(window.probabilities.astype(float), SMALLEST, 1 - SMALLEST)
    late = window.late == 1
    if kind == "wrong":
        values = ((probability >= threshold) != late).astype(float)
    else:
        values = -np.log(np.where(late, probability, 1 - probability))
    if kind == "excess":
        share = (calibration or Calibration())(probability)
        values += share * np.log(probability) + (1 - share) * np.log(1 - probability)
    return np.where(window.known, values, np.nan)


def changes(
    day: NDArray[np.datetime64],
    values: NDArray[np.float64],
    detector: str = "ADWIN",
    by: Literal["flight", "day"] = "flight",
    make: Callable[[], Any] | None = None,
) -> list[Change]:
    """Feed a detector, oldest day first, and list when it goes off.

    Args:
        day: of each value, datetime64[D].
        values: from `errors`; NaN are left out.
        detector: a name in `DETECTORS`. DDM wants the errors "wrong".
        by: "flight" feeds each value, "day" the mean of each day.
        make: makes the detector, to give it other settings.
    """
    known = ~np.isnan(values)
    order = np.argsort(day[known], kind="stable")
    days, stream = day[known][order], values[known][order]
    if by == "day":
        days, of_row, rows = np.unique(days, return_inverse=True, return_counts=True)
        stream = np.bincount(of_row, stream, len(days)) / rows
    watching = (make or DETECTORS[detector])()
    found: list[Change] = []
    begin = 0
    for place, value in enumerate(stream.tolist()):
        watching.update(value)
        if not watching.drift_detected:
            continue
        start = begin + _best_split(stream[begin : place + 1])
        before = stream[begin:start]
        found.append(
            Change(
                day=days[place].astype(date),
                since=days[start].astype(date),
                detector=detector,
                before=float(before.mean()) if len(before) else float("nan"),
                after=float(stream[start : place + 1].mean()),
            )
        )
        begin = start
    return found


BEFORE_DAYS = 61
THRESHOLD, DELTA, MIN_DAYS = 10.0, 0.5, 10
"""Of Page-Hinkley: standard deviations to add up, allowance a day, days before the first alarm."""


def change_of(reference: Outcomes, outcomes: Outcomes, judged: Outcomes) -> Change | None:
    """Find the day since when a window that failed `decay` is as it is.

    Args:
        outcomes: daily counts of the window and of the `BEFORE_DAYS` days before it.
        judged: those of the window, which `decay_of` judged.

    Returns:
        The last change, for the worse, of the figure that lies furthest outside its limits; None
        if all are within, or none is found.
    """
    figures = measure(reference, judged) or {}
    failed = {n: limit.distance(v) for n, (v, limit) in figures.items() if not limit.holds(v)}
    if not failed:
        return None
    name = max(failed, key=lambda name: failed[name])
    calibration = calibration_of(reference)

    def daily(of: Outcomes) -> NDArray[np.float64]:
        found = statistics(of, calibration) | slice_statistics(of, [name])
        return found[name](np.eye(len(of)))

    usual = daily(reference)
    value, limit = figures[name]
    side = np.sign(value - limit.expected)
    values = side * (daily(outcomes) - np.nanmean(usual)) / max(float(np.nanstd(usual)), 1e-9)
    found = changes(
        outcomes.days,
        values,
        "PageHinkley",
        make=lambda: PageHinkley(MIN_DAYS, DELTA, THRESHOLD, mode="up"),
    )
    return found[-1] if found else None


def _best_split(values: NDArray[np.float64]) -> int:
    """Where the means before and after differ most, in standard errors: 1 to len - 1, or 0."""
    size = len(values)
    if size < 2:
        return 0
    before = np.arange(1, size)
    sums = np.cumsum(values)[:-1]
    gap = sums / before - (values.sum() - sums) / (size - before)
    return 1 + int(np.argmax(np.abs(gap) * np.sqrt(before * (size - before))))
