"""How good the model was on the flights of a window whose labels have come, with intervals by days.

What is judged, and against what, is in `decay.py`; this is for a person who wants to see more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.outcomes import SMALLEST
from flight_delays.monitoring.slices import slices_of
from flight_delays.monitoring.window import Window
from flight_delays.pipeline.bootstrap import Days, Interval, equal_count_edges

MIN_FLIGHTS, MIN_LATE = 400, 50
"""A slice with fewer is not scored: its interval would span everything."""

REPEATS = 2_000


@dataclass(frozen=True)
class SliceScore:
    """One slice, see `slices.slices_of`."""

    name: str
    flights: int
    late_share: float
    mean_prediction: float
    roc_auc: Interval
    log_loss: Interval


@dataclass(frozen=True)
class Performance:
    """The scores of a window's labelled flights; intervals at 95%, drawn by days.

    Attributes:
        rows, labelled, days: flights, those with a label, days of the latter.
        calibration_error: mean distance of prediction and share of late flights over 20 bins.
        calibration: intercept and slope, see `calibration.py`.
        slices: those with enough flights, the worst log loss first.
    """

    rows: int
    labelled: int
    days: int
    roc_auc: Interval
    log_loss: Interval
    brier: Interval
    late_share: Interval
    mean_prediction: Interval
    calibration_error: Interval
    calibration: Calibration
    slices: tuple[SliceScore, ...]

    def to_table(self) -> str:
        """Return aligned plain text: the scores, then the slices."""
        lines = [
            f"{self.labelled:,} of {self.rows:,} flights have a label, on {self.days} days",
            *(f"{name.replace('_', ' '):20} {getattr(self, name)}" for name in _INTERVALS),
            f"{'calibration':20} intercept {self.calibration.intercept:+.3f}, "
            f"slope {self.calibration.slope:.3f}",
            "",
            f"{'slice':28} {'flights':>8} {'late':>6} {'said':>6}  {'ROC AUC':26} log loss",
        ]
        lines += [
            f"{one.name:28} {one.flights:8,} {one.late_share:6.3f} {one.mean_prediction:6.3f}  "
            f"{one.roc_auc!s:26} {one.log_loss}"
            for one in self.slices
        ]
        return "\n".join(lines)


_INTERVALS = (
    "roc_auc", "log_loss", "brier", "late_share", "mean_prediction", "calibration_error",
)  # fmt: skip


def performance(
    window: Window, repeats: int = REPEATS, seed: int = 0, *, with_slices: bool = True
) -> Performance:
    """Score a window.

    Args:
        with_slices: score the slices as well; they take most of the time.

    Raises:
        ValueError: no flight of it has a label, or all are late, or none is.
    """
    rows, window = len(window), window.of(window.known)
    late = window.late == 1
    if not late.any() or late.all():
        raise ValueError(
            f"window: expected late and punctual flights with labels, found {int(late.sum())} "
            f"late of {len(late)}"
        )
    probability = window.probabilities.astype(float)
    days = Days.draw(window.day, repeats, seed)
    loss = _log_losses(late, probability)
    edges = equal_count_edges(probability)
    outcomes = window.outcomes()
    return Performance(
        rows=rows,
        labelled=len(late),
        days=days.count,
        roc_auc=days.interval(days.roc_auc(late, probability)),
        log_loss=days.interval(days.mean(loss)),
        brier=days.interval(days.mean((probability - late) ** 2)),
        late_share=days.interval(days.mean(late)),
        mean_prediction=days.interval(days.mean(probability)),
        calibration_error=days.interval(days.calibration_error(late, probability, edges)),
        calibration=Calibration.fit(outcomes.late.sum(axis=0), outcomes.punctual.sum(axis=0)),
        slices=tuple(_slices(window, days, late, probability, loss)) if with_slices else (),
    )


def _slices(
    window: Window,
    days: Days,
    late: NDArray[np.bool_],
    probability: NDArray[np.float64],
    loss: NDArray[np.float64],
) -> list[SliceScore]:
    found = []
    for name, rows in slices_of(window.matrix, window.vocabulary).items():
        count, number = int(rows.sum()), int(late[rows].sum())
        if count < MIN_FLIGHTS or min(number, count - number) < MIN_LATE:
            continue
        part = Days(days.of_row[rows], days.count, days.weights)
        auc = part.roc_auc(late[rows], probability[rows])
        found.append(
            SliceScore(
                name=name,
                flights=count,
                late_share=number / count,
                mean_prediction=float(probability[rows].mean()),
                roc_auc=part.interval(auc),
                log_loss=part.interval(_quiet(part.mean(loss[rows]))),
            )
        )
    return sorted(found, key=lambda one: -one.log_loss.estimate)


def _quiet(statistic: Callable) -> Callable:
    """A repeat that drew no day of a slice has no mean."""

    def inner(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return statistic(weights)

    return inner


def _log_losses(late: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return -np.log(np.where(late, probability, 1 - probability))
