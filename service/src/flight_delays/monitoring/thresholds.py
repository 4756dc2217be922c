"""Thresholds learned from the reference itself, for a stated number of false alarms a year.

No figure from a book says how far the temperature of one week may be from that of the other weeks:
here its PSI is above 1 in most weeks, while that of the carriers is below 0.01. So each check is
measured on all windows in a row of the reference, each against the rest of it. Weather gets a wide
limit that way and the schedule a tight one, and season, weekday and storms are in both, since the
windows are contiguous.

Half a year of reference cannot show what happens once a year, so the tail is extrapolated. The
largest value of a check in four weeks follows a Gumbel distribution (Gumbel 1958, Statistics of
Extremes: the limit of block maxima), whose location and scale give each check a score that means
the same for all. The score at which a check fails follows from the stated number of false alarms
a year, shared by all checks of all lengths (Bonferroni), and from the error that comes of learning
two figures from half a dozen blocks of four weeks. `false_alarms.py` measures what comes of it.

Faults in the data are gross, and a limit well beyond all that the reference ever had costs no time:
those checks get the most extreme day of the reference and a margin. What counts as new is measured
on fortnights of the reference left out, since nothing in it is new to itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES
from flight_delays.monitoring.bins import CHECKED, Bins, Counts, Scale, far_outside
from flight_delays.monitoring.signals import (
    FAULT_LENGTHS,
    LENGTHS,
    ROW_FAULTS,
    Table,
    psi_without,
    quality_signals,
    shares_of,
    window_psi,
)
from flight_delays.monitoring.summary import Days, Summary

RATE = 0.1
"""False alarms a year, all checks of the monitor together: one in ten years. One a year would find
a changed P(Y|X) three days sooner, and somebody would be called for nothing every year."""

DAYS_A_YEAR = 365
BLOCK_DAYS = 28
FEWEST_DAYS = 2 * BLOCK_DAYS
DRIFT_SHARE = 0.5
"""Of the false alarms what drift may use. The rest is for decay; the faults use next to none."""

FAULT_MARGIN = {1: 0.1, 3: 0.05}
"""Length of a window in days to the share by which a fault is beyond the worst window; by as much
as that is beyond the mean if that is more."""

NEW_FACTOR = 4  # a new unit makes nearly all values new ones, rare weather some of them
HELD_OUT_DAYS = 14
ERRORS = 4
"""Standard errors of a quantile of Gumbel's distribution by which a limit is above it (Lawless
2003, Statistical Models and Methods for Lifetime Data, section 5.2). Of many checks the one whose
limit was learned too low gives the alarms, so the usual two are not enough."""

COARSE = 64  # different values of a reading on a coarse grid, such as whole knots
NEW_LEAST = 0.9  # of a reading on a fine one: a storm brings many new ones, a new unit only such
ROWS_FACTOR = 1.25
STILL = 0.6  # of the fewest different values of a reading in the reference

LEAST_SCALE = 0.01
"""Of the root of PSI, so that a check that never moved in the reference does not go off at once."""

EULER = 0.5772156649015329


@dataclass(frozen=True)
class DriftLimits:
    """The limits of drift.

    Attributes:
        score: the score at which a check fails.
        location, scale: length of the window in days to the Gumbel distribution of each check, of
            the root of PSI; shape (checks,), in the order of `CHECKED`.
    """

    score: float
    location: dict[int, NDArray[np.float64]]
    scale: dict[int, NDArray[np.float64]]

    def length(self, days: int) -> int:
        """The longest of the lengths that a window of so many days has."""
        lengths = [length for length in self.location if length <= days]
        return max(lengths, default=min(self.location))

    def limit(self, name: str, days: int) -> float:
        """The PSI at which a check fails on a window of so many days."""
        length, at = self.length(days), CHECKED.index(name)
        return float((self.location[length][at] + self.score * self.scale[length][at]) ** 2)

    def scores(self, psi_values: Table, length: int) -> Table:
        """How far beyond the usual largest value of four weeks a check is; 0 is usual."""
        return (np.sqrt(psi_values) - self.location[length]) / self.scale[length]

    def daily_scores(self, summary: Summary, expected: Counts) -> Table:
        """The scores of the windows that end on each day, the largest of all lengths.

        Args:
            expected: counts of the reference, from `Summary.total`.

        Returns:
            Shape (days, checks); -inf where there are too few days before.
        """
        result = np.full((len(summary), len(CHECKED)), -np.inf)
        for length in self.location:
            if len(summary) >= length:
                scores = self.scores(window_psi(summary, expected, length), length)
                result[length - 1 :] = np.maximum(result[length - 1 :], scores)
        return result


@dataclass(frozen=True)
class Thresholds(DriftLimits):
    """The limits of drift and of faults.

    Attributes:
        rate: false alarms a year, of all checks together.
        faults: length of the window in days, then kind of fault, to the limit of each feature,
            shape (features,); NaN where nothing can be told. `distinct` is a lower limit, the
            others are upper ones.
        rows: fewest and most flights on a day.
    """

    rate: float
    faults: dict[int, dict[str, NDArray[np.float64]]]
    rows: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        return {
            "rate": self.rate,
            "score": self.score,
            "location": {str(length): values.tolist() for length, values in self.location.items()},
            "scale": {str(length): values.tolist() for length, values in self.scale.items()},
            "faults": {
                str(length): {
                    kind: [None if np.isnan(v) else v for v in values.tolist()]
                    for kind, values in kinds.items()
                }
                for length, kinds in self.faults.items()
            },
            "rows": list(self.rows),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Thresholds:
        """Read what `to_json` returned."""
        location, scale = (
            {int(length): np.array(values, float) for length, values in content[name].items()}
            for name in ("location", "scale")
        )
        faults = {
            int(length): {kind: np.array(values, float) for kind, values in kinds.items()}
            for length, kinds in content["faults"].items()
        }
        low, high = content["rows"]
        return cls(content["score"], location, scale, content["rate"], faults, (low, high))


def learn_thresholds(
    summary: Summary, bins: Bins, rate: float = RATE, novelty: dict[str, Counts] | None = None
) -> Thresholds:
    """Learn the limits from the days of the reference.

    Args:
        summary: of the reference, with its days in a row.
        novelty: what would be new on each day if its fortnight were not known, see `novelty_of`.
        rate: false alarms a year that the whole monitor may give.

    Raises:
        ValueError: the reference is too short, or the rate is not positive.
    """
    drift = learn_drift(summary, rate * DRIFT_SHARE)
    faults = {length: _fault_limits(summary, bins, novelty, length) for length in FAULT_LENGTHS}
    rows = float(summary.rows.min() / ROWS_FACTOR), float(summary.rows.max() * ROWS_FACTOR)
    return Thresholds(drift.score, drift.location, drift.scale, rate, faults, rows)


def learn_drift(summary: Summary, rate: float) -> DriftLimits:
    """Learn the limits of drift alone, for so many false alarms a year; see `learn_thresholds`."""
    score = score_for(rate, len(CHECKED) * len(LENGTHS), len(summary))
    location, scale = {}, {}
    for length in LENGTHS:
        location[length], scale[length] = fit_gumbel(np.sqrt(psi_without(summary, length)))
    return DriftLimits(score, location, scale)


def fit_gumbel(
    values: Table, least: float = LEAST_SCALE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and scale of the largest value in four weeks, by the method of moments.

    Args:
        values: shape (windows, checks), one window a day.
        least: the smallest scale.

    Returns:
        Two arrays of shape (checks,).
    """
    blocks = np.lib.stride_tricks.sliding_window_view(values, BLOCK_DAYS, axis=0).max(axis=-1)
    scale = np.maximum(blocks.std(axis=0) * np.sqrt(6) / np.pi, least)
    return blocks.mean(axis=0) - EULER * scale, scale


def score_for(rate: float, checks: int, days: int) -> float:
    """The score that any of some checks passes at most `rate` times a year.

    Args:
        rate: false alarms a year.
        checks: how many are looked at.
        days: of the reference that their location and scale were learned from.

    Raises:
        ValueError: the rate is not positive, or there are too few days.
    """
    if not rate > 0:
        raise ValueError(f"rate: expected more than 0 false alarms a year, found {rate}")
    if days < FEWEST_DAYS:
        raise ValueError(
            f"reference: expected {FEWEST_DAYS} days or more to learn limits from, found {days}"
        )
    passed = -np.expm1(-rate * BLOCK_DAYS / DAYS_A_YEAR)  # share of blocks in which any one does
    score = -np.log(-np.log1p(-passed / checks))
    blocks = days / BLOCK_DAYS
    error = np.sqrt((1.109 + 0.514 * score + 0.608 * score**2) / blocks)
    return float(score + ERRORS * error)


def novelty_of(days: Days, matrix: NDArray[np.float32], bins: Bins) -> dict[str, Counts]:
    """How much would have been new on each day, had its fortnight not been known.

    Args:
        days: one entry a flight.

    Returns:
        `new` and `strange`, each feature name to counts of shape (days,).
    """
    every, of_row = np.unique(days, return_inverse=True)
    fortnight = (every - every[0]).astype(int) // HELD_OUT_DAYS
    found: dict[str, Counts] = {"new": {}, "strange": {}}
    for scale, column in zip(bins.scales, matrix.T, strict=False):
        known = ~np.isnan(column)
        value = _value_of(scale, column)
        size = int(value.max(initial=0)) + 1
        there = np.zeros((fortnight[-1] + 1, size), bool)
        there[fortnight[of_row[known]], value[known]] = True
        alone = known & (there.sum(axis=0) == 1)[value]
        if scale.kind == "category":
            strange = alone
        else:
            within, strange = _beside_the_others(column, fortnight[of_row], known)
            found["new"][scale.name] = np.bincount(of_row[alone & within], minlength=len(every))
        found["strange"][scale.name] = np.bincount(of_row[strange], minlength=len(every))
    return found


def _value_of(scale: Scale, column: NDArray[np.float32]) -> NDArray[np.intp]:
    """A number for each different value."""
    if scale.kind == "category":
        return scale.place(column)
    return scale.find(column) if len(scale.values) else np.zeros(len(column), np.intp)


def _beside_the_others(
    column: NDArray[np.float32], fortnight: NDArray[np.intp], known: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values lie within the range of all other fortnights, and which far outside."""
    within, outside = np.zeros(len(column), bool), np.zeros(len(column), bool)
    for number in np.unique(fortnight):
        own = fortnight == number
        others = column[~own & known]
        if len(others):
            least, most = others.min(), others.max()
            low, high = far_outside(float(least), float(most))
            within |= own & (column >= least) & (column <= most)
            outside |= own & ((column < low) | (column > high))
    return within, outside


def _fault_limits(
    summary: Summary, bins: Bins, novelty: dict[str, Counts] | None, length: int
) -> dict[str, NDArray[np.float64]]:
    found = quality_signals(summary, bins, length)
    limits = {}
    for kind in ("missing", "strange", "new", *ROW_FAULTS):
        known = found[kind]
        margin = FAULT_MARGIN[length] * (NEW_FACTOR if kind == "new" else 1)
        if novelty and kind in novelty:
            known = np.fmax(known, shares_of(novelty[kind], summary, length))
        worst, mean = _largest(known), np.nan_to_num(known).mean(axis=0)
        beyond = worst + np.maximum(margin, worst - mean)
        if kind == "new":
            fine = np.array([len(bins[name].values) > COARSE for name in NAMES])
            beyond = np.where(fine, np.maximum(beyond, NEW_LEAST), beyond)
        limits[kind] = np.minimum(beyond, np.maximum(NEW_LEAST, (1 + worst) / 2))
    fewest = np.floor(-_largest(-found["distinct"]) * STILL)
    limits["distinct"] = np.where(fewest > length, fewest, np.nan)  # one a day stands still
    return limits


def _largest(table: Table) -> NDArray[np.float64]:
    """The largest of each column, NaN for one without any."""
    with np.errstate(invalid="ignore"):
        filled = np.where(np.isnan(table), -np.inf, table).max(axis=0)
    return np.where(np.isinf(filled), np.nan, filled)
