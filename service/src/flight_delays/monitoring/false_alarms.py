"""How many alarms the monitor gives in years in which nothing drifts, measured.

From days that were, fortnights are drawn with replacement: storms, weather and weekdays stay
together. A reference of 26 weeks and a year of 52 are drawn from the same days, so whatever differs
between them is luck, and every alarm of drift or decay is a false one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.monitor import HOLD_DAYS
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.summary import Summary
from flight_delays.monitoring.thresholds import DRIFT_SHARE, RATE, learn_drift
from flight_delays.monitoring.trailing_decay import TrailingDecay

WEEK, FORTNIGHT = 7, 14
REFERENCE_WEEKS, YEAR_WEEKS = 26, 52


@dataclass(frozen=True)
class FalseAlarms:
    """Alarms raised in drawn years.

    Attributes:
        years: how many were drawn, each with a reference of its own.
        drift, decay: alarms in all of them together.
    """

    years: int
    drift: int
    decay: int

    @property
    def a_year(self) -> float:
        """Alarms a year, of both kinds."""
        return (self.drift + self.decay) / self.years


def false_alarms(
    summary: Summary, outcomes: Outcomes, *, rate: float = RATE, years: int = 20, seed: int = 0
) -> FalseAlarms:
    """Draw years from some days, and count the alarms.

    Args:
        summary, outcomes: of the same days in a row, whole weeks from their first day on; labels
            complete.
        rate: the stated false alarms a year.

    Raises:
        ValueError: the two are of other days, or there are fewer than four weeks.
    """
    if not np.array_equal(summary.days, outcomes.days):
        raise ValueError("outcomes: expected the days of the summary, found others")
    weeks = len(summary) // WEEK
    if weeks < 4:
        raise ValueError(f"summary: expected four weeks or more to draw from, found {weeks}")
    rng = np.random.default_rng(seed)
    drift = decay = 0
    for _ in range(years):
        of_reference, of_year = (
            _draw(rng, weeks, count) for count in (REFERENCE_WEEKS, YEAR_WEEKS)
        )
        reference = _taken(summary, of_reference)
        limits = learn_drift(reference, rate * DRIFT_SHARE)
        scores = limits.daily_scores(_taken(summary, of_year), reference.total())
        drift += raised(scores.max(axis=1) > limits.score)
        learned = TrailingDecay.learn(
            _outcomes_taken(outcomes, of_reference), rate * (1 - DRIFT_SHARE)
        )
        scores = learned.daily_scores(_outcomes_taken(outcomes, of_year))
        decay += raised(scores.max(axis=1) > learned.score)
    return FalseAlarms(years, drift, decay)


def raised(failed: NDArray[np.bool_], hold: int = HOLD_DAYS) -> int:
    """How often an alarm is raised that stays in force for some days after the last failure.

    Args:
        failed: shape (days,), whether anything failed on a day.
    """
    at = np.flatnonzero(failed)
    return int(len(at) > 0) + int((np.diff(at) > hold).sum())


def _draw(rng: np.random.Generator, weeks: int, count: int) -> NDArray[np.intp]:
    """Positions of the days of so many weeks, drawn a fortnight at a time."""
    first = rng.integers(weeks - 1, size=-(-count // 2))
    days = first[:, None] * WEEK + np.arange(FORTNIGHT)
    return days.ravel()[: count * WEEK]


def _taken(summary: Summary, positions: NDArray[np.intp]) -> Summary:
    return replace(summary.take(positions), days=_in_a_row(len(positions)))


def _outcomes_taken(outcomes: Outcomes, positions: NDArray[np.intp]) -> Outcomes:
    return replace(outcomes.of(positions), days=_in_a_row(len(positions)))


def _in_a_row(days: int) -> NDArray[np.datetime64]:
    return np.datetime64("2014-01-06") + np.arange(days)
