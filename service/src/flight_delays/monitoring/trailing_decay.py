"""Decay on the newest days whose labels have come, asked every day.

The figures are those of `decay.py`, on windows of several lengths: three days show at once that an
airport's mornings went wrong, two weeks show a small change. The limits are learned as those of
drift are (`thresholds.py`): each figure on each window in a row of the reference, how far it is
from its mean, and Gumbel's distribution for what four weeks may bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.decay import (
    AUC,
    LOSS,
    SLICE_MIN_FLIGHTS,
    Statistic,
    slice_statistics,
    statistics,
)
from flight_delays.monitoring.estimate import calibration_of
from flight_delays.monitoring.outcomes import Outcomes, Weights
from flight_delays.monitoring.thresholds import fit_gumbel, score_for

LENGTHS = (3, 7, 14)
"""Days of the windows."""

LONGEST = max(LENGTHS)
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class TrailingDecay:
    """The limits of each figure on each length of window.

    Attributes:
        calibration: of the reference.
        names: of the figures.
        expected: their means, shape (figures,).
        location, scale: length to the Gumbel distribution of the distance from it.
        score: the score at which a figure fails.
    """

    calibration: Calibration
    names: tuple[str, ...]
    expected: NDArray[np.float64]
    location: dict[int, NDArray[np.float64]]
    scale: dict[int, NDArray[np.float64]]
    score: float

    @classmethod
    def learn(cls, reference: Outcomes, rate: float) -> TrailingDecay:
        """Learn the limits from the days of the reference.

        Args:
            rate: false alarms a year, of all figures and lengths together.

        Raises:
            ValueError: the reference has too few days.
        """
        calibration = calibration_of(reference)
        slices = [n for n, t in reference.slices.items() if t[:, 0].sum() >= SLICE_MIN_FLIGHTS]
        figures = _figures(reference, calibration, slices)
        names = tuple(figures)
        expected = _table(figures, names, reference.once)[0]
        location, scale = {}, {}
        for length in LENGTHS:
            windows = _table(figures, names, banded(len(reference), length))
            distance = _distance(names, windows, expected)
            location[length], scale[length] = fit_gumbel(distance, LEAST_SCALE)
        score = score_for(rate, len(names) * len(LENGTHS), len(reference))
        return cls(calibration, names, expected, location, scale, score)

    def failed(self, complete: Outcomes) -> list[str]:
        """Name the figures that fail on windows that end with the newest day.

        Args:
            complete: days whose labels are complete enough, the newest ones.
        """
        scores = self.scores(complete.of(slice(-LONGEST, None)))
        return [name for name, score in scores.items() if score > self.score]

    def scores(self, complete: Outcomes) -> dict[str, float]:
        """The largest score of each figure on the windows that end with the newest day."""
        lengths = [length for length in LENGTHS if length <= len(complete)]
        if not lengths:
            return {}
        newest = np.stack([np.arange(len(complete)) >= len(complete) - n for n in lengths])
        figures = _figures(complete, self.calibration, self.names)
        distance = _distance(
            self.names, _table(figures, self.names, newest.astype(float)), self.expected
        )
        scores = [
            (distance[row] - self.location[length]) / self.scale[length]
            for row, length in enumerate(lengths)
        ]
        return dict(zip(self.names, np.max(scores, axis=0).tolist(), strict=True))

    def daily_scores(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """The scores of the windows that end on each day, the largest of all lengths.

        Args:
            outcomes: days whose labels are complete.

        Returns:
            Shape (days, figures); -inf where there are too few days before.
        """
        figures = _figures(outcomes, self.calibration, self.names)
        result = np.full((len(outcomes), len(self.names)), -np.inf)
        for length in LENGTHS:
            if len(outcomes) >= length:
                windows = _table(figures, self.names, banded(len(outcomes), length))
                distance = _distance(self.names, windows, self.expected)
                scores = (distance - self.location[length]) / self.scale[length]
                result[length - 1 :] = np.maximum(result[length - 1 :], scores)
        return result


def banded(days: int, length: int) -> Weights:
    """Every window of some days in a row, shape (days - length + 1, days)."""
    at = np.arange(days)
    first = np.arange(days - length + 1)[:, None]
    return ((at >= first) & (at < first + length)).astype(float)


def _figures(
    outcomes: Outcomes, calibration: Calibration, slices: list[str] | tuple[str, ...]
) -> dict[str, Statistic]:
    return statistics(outcomes, calibration) | slice_statistics(outcomes, slices)


def _table(
    figures: Mapping[str, Statistic], names: tuple[str, ...], weights: Weights
) -> NDArray[np.float64]:
    nothing = np.full(len(weights), np.nan)
    return np.stack(
        [figures[name](weights) if name in figures else nothing for name in names], axis=1
    )


def _distance(
    names: tuple[str, ...], values: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far from the mean, on the side that is worse; 0 for a slice without flights."""
    distance = values - expected
    for column, name in enumerate(names):
        if name == AUC:
            distance[:, column] *= -1
        elif name != LOSS:
            distance[:, column] = np.abs(distance[:, column])
    return np.nan_to_num(distance)
