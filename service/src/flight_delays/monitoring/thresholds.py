"""Thresholds learned from the reference itself, for a stated number of false alarms a year.

No figure from a book says how far the temperature of one week may be from that of the other weeks:
here its PSI is above 1 in most weeks, while that of the carriers is below 0.01. So each check is
measured on all windows in a row of the reference, each against the rest of it. Weather gets a wide
limit that way and the schedule a tight one, and season, weekday and storms are in both, since the
windows are contiguous.

Half a year of reference cannot show what happens once a year, so the tail is extrapolated. The
largest value of a check in four weeks follows a Gumbel distribution (Gumbel 1958, Statistics of
Extremes: the limit of block maxima), whose location and scale give each check a score that means
the same for all. All checks of all lengths are one monitor, so what matters is the largest score
of a day; it is fitted in the same way, and its quantile is the score that is passed as often as
stated. `false_alarms` measures what comes of it.

Faults in the data are gross, and a limit well beyond all that the reference ever had costs no time:
those checks get the most extreme day of the reference and a margin. A season that the reference
does not have must pass, so what counts as new is measured on thirds of the reference left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import Vocabulary
from flight_delays.monitoring.bins import CHECKED, Bins
from flight_delays.monitoring.signals import (
    LENGTHS,
    STILL_DAYS,
    Table,
    psi_without,
    quality_signals,
)
from flight_delays.monitoring.summary import Summary, summary_of

RATE = 1.0
"""False alarms a year, all checks of the monitor together."""

DAYS_A_YEAR = 365
BLOCK_DAYS = 28
FEWEST_DAYS = 2 * BLOCK_DAYS
DRIFT_SHARE = 0.5
"""Of the false alarms what drift may use. The rest is for decay; the faults use next to none."""

MARGIN = 0.1
"""A share that tells of a fault is beyond the worst day by this, or by as much as that is beyond
the mean day if that is more."""

ROWS_FACTOR = 1.25
THIRDS = 3
STILL = 0.6  # of the fewest different values that the reference had in three days

LEAST_SCALE = 0.01
"""Of the root of PSI, so that a check that never moved in the reference does not go off at once."""

EULER = 0.5772156649015329


@dataclass(frozen=True)
class Thresholds:
    """The limits of drift and of faults.

    Attributes:
        rate: false alarms a year, of all checks together.
        score: the score at which a drift check fails.
        location, scale: length of the window in days to the Gumbel distribution of each check, of
            the root of PSI; shape (checks,), in the order of `CHECKED`.
        faults: kind of fault to the limit of each feature, shape (features,); NaN where nothing
            can be told. `distinct` is a lower limit, the others are upper ones.
        rows: fewest and most flights on a day.
    """

    rate: float
    score: float
    location: dict[int, NDArray[np.float64]]
    scale: dict[int, NDArray[np.float64]]
    faults: dict[str, NDArray[np.float64]]
    rows: tuple[float, float]

    def length(self, days: int) -> int:
        """The longest of the lengths that a window of so many days has."""
        return max(
            (length for length in self.location if length <= days), default=min(self.location)
        )

    def limit(self, name: str, days: int) -> float:
        """The PSI at which a check fails on a window of so many days."""
        length, at = self.length(days), CHECKED.index(name)
        return float((self.location[length][at] + self.score * self.scale[length][at]) ** 2)

    def scores(self, psi_values: Table, length: int) -> Table:
        """How far beyond the usual largest value of four weeks a check is; 0 is usual."""
        return (np.sqrt(psi_values) - self.location[length]) / self.scale[length]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        return {
            "rate": self.rate,
            "score": self.score,
            "location": {str(length): values.tolist() for length, values in self.location.items()},
            "scale": {str(length): values.tolist() for length, values in self.scale.items()},
            "faults": {
                kind: [None if np.isnan(v) else v for v in values.tolist()]
                for kind, values in self.faults.items()
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
        faults = {kind: np.array(values, float) for kind, values in content["faults"].items()}
        low, high = content["rows"]
        return cls(content["rate"], content["score"], location, scale, faults, (low, high))


def learn_thresholds(
    summary: Summary, bins: Bins, rate: float = RATE, novelty: Mapping[str, Table] | None = None
) -> Thresholds:
    """Learn the limits from the days of the reference.

    Args:
        summary: of the reference, with its days in a row.
        novelty: the shares `new` and `strange` of each day as if its third of the reference were
            not known, see `novelty_of`; by default those of the summary.
        rate: false alarms a year that the whole monitor may give.

    Raises:
        ValueError: the reference is too short, or the rate is not positive.
    """
    if len(summary) < FEWEST_DAYS:
        raise ValueError(
            f"reference: expected {FEWEST_DAYS} days or more to learn thresholds from, "
            f"found {len(summary)}"
        )
    location, scale, parts = {}, {}, []
    for length in LENGTHS:
        root = np.sqrt(psi_without(summary, length))
        location[length], scale[length] = fit_gumbel(root)
        scores = ((root - location[length]) / scale[length]).max(axis=1)
        parts.append(np.concatenate([np.full(length - 1, -np.inf), scores]))
    score = score_for(np.max(parts, axis=0), rate * DRIFT_SHARE)
    faults, rows = _fault_limits(summary, bins, novelty or {})
    return Thresholds(rate, score, location, scale, faults, rows)


def fit_gumbel(values: Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and scale of the largest value in four weeks, by the method of moments.

    Args:
        values: shape (windows, checks), one window a day.

    Returns:
        Two arrays of shape (checks,).
    """
    blocks = np.lib.stride_tricks.sliding_window_view(values, BLOCK_DAYS, axis=0).max(axis=-1)
    scale = np.maximum(blocks.std(axis=0) * np.sqrt(6) / np.pi, LEAST_SCALE)
    return blocks.mean(axis=0) - EULER * scale, scale


def score_for(daily: NDArray[np.float64], rate: float) -> float:
    """The score that is passed `rate` times a year.

    Args:
        daily: shape (days,), the largest score of each day of a period that did not drift.

    Raises:
        ValueError: the rate is not positive, or there are too few days.
    """
    if not rate > 0:
        raise ValueError(f"rate: expected more than 0 false alarms a year, found {rate}")
    if len(daily) < FEWEST_DAYS:
        raise ValueError(f"daily: expected {FEWEST_DAYS} days or more, found {len(daily)}")
    location, scale = fit_gumbel(daily[:, None])
    passed = 1 - np.exp(-rate * BLOCK_DAYS / DAYS_A_YEAR)  # share of blocks that pass it
    return float(max(location[0] - scale[0] * np.log(-np.log1p(-passed)), daily.max()))


def novelty_of(
    days: NDArray[np.datetime64],
    matrix: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    vocabulary: Vocabulary,
) -> dict[str, Table]:
    """What would have been new on each day, had its third of the reference not been known.

    Args:
        days: one entry a flight.

    Returns:
        `new` and `strange`, shape (days, features).
    """
    every = np.unique(days)
    parts = []
    for third in np.array_split(every, THIRDS):
        held_out = (days >= third[0]) & (days <= third[-1])
        rest = ~held_out
        bins = Bins.learn(matrix[rest], probabilities[rest], vocabulary)
        part = summary_of(days[held_out], matrix[held_out], probabilities[held_out], bins)
        parts.append(quality_signals(part, bins))
    return {kind: np.concatenate([p[kind] for p in parts]) for kind in ("new", "strange")}


def _fault_limits(
    summary: Summary, bins: Bins, novelty: Mapping[str, Table]
) -> tuple[dict[str, NDArray[np.float64]], tuple[float, float]]:
    found = quality_signals(summary, bins)
    limits = {}
    for kind in ("missing", "strange", "new", "repeated"):
        known = found[kind]
        if kind in novelty:
            known = np.fmax(known, novelty[kind])
        worst, mean = _largest(known), np.nan_to_num(known).mean(axis=0)
        limits[kind] = np.minimum(worst + np.maximum(MARGIN, worst - mean), (1 + worst) / 2)
    fewest = np.floor(-_largest(-found["distinct"]) * STILL)
    limits["distinct"] = np.where(fewest > STILL_DAYS, fewest, np.nan)
    rows = summary.rows
    return limits, (float(rows.min() / ROWS_FACTOR), float(rows.max() * ROWS_FACTOR))


def _largest(table: Table) -> NDArray[np.float64]:
    """The largest of each column, NaN for one without any."""
    with np.errstate(invalid="ignore"):
        filled = np.where(np.isnan(table), -np.inf, table).max(axis=0)
    return np.where(np.isinf(filled), np.nan, filled)
