"""What was predicted and what happened, counted a day: all that the scores of a window need.

A day becomes counts of late and of punctual flights, and of flights whose label is not known yet,
in bins of the predicted probability. Counts add up, so a week, a month, a year and ten thousand
drawn windows cost a product of matrices. Needs NumPy only: the exporter in the serving image
reads it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOGITS = np.linspace(-5.0, 3.0, 81)
"""Inner edges of the bins, in log odds. They are fixed, so that any two outcomes can be added."""

BINS = len(LOGITS) + 1
_STEP = LOGITS[1] - LOGITS[0]
CENTRES = 1 / (1 + np.exp(-np.concatenate([LOGITS - _STEP / 2, LOGITS[-1:] + _STEP / 2])))
"""The probability in the middle of each bin, shape (bins,)."""

SMALLEST = 1e-6  # probabilities are float32, and one of them may be 0 or 1

Weights = NDArray[np.float64]
"""Shape (repeats, days): how often each repeat counts each day."""


@dataclass(frozen=True)
class Outcomes:
    """Daily counts of predictions and of what became of them.

    Attributes:
        days: in order, each once, datetime64[D], shape (days,).
        late, punctual, waiting: flights in each bin, int64, shape (days, bins); those of `waiting`
            have no label yet.
        predicted: sum of the probabilities of the labelled flights, shape (days,).
        loss: sum of their log losses, shape (days,).
        slices: for each part of the flights (`slices.py`) an array of shape (days, 3): its labelled
            flights, the late ones among them, and the sum of their probabilities.
    """

    days: NDArray[np.datetime64]
    late: NDArray[np.int64]
    punctual: NDArray[np.int64]
    waiting: NDArray[np.int64]
    predicted: NDArray[np.float64]
    loss: NDArray[np.float64]
    slices: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def count(
        cls,
        day: ArrayLike,
        probabilities: ArrayLike,
        late: ArrayLike,
        slices: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> Self:
        """Count flights.

        Args:
            day: the day of each flight, shape (flights,).
            probabilities: what was predicted, shape (flights,).
            late: 1 or True for late, 0 or False for punctual, NaN for not known yet.
            slices: from `slices.slices_of`, for what is to be looked at on its own.
        """
        days, of_row = np.unique(np.asarray(day, "datetime64[D]"), return_inverse=True)
        probability = np.clip(np.asarray(probabilities, float), SMALLEST, 1 - SMALLEST)
        label = np.asarray(late, float)
        cell = of_row * BINS + bin_of(probability)

        def table(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(cell[rows], minlength=len(days) * BINS).reshape(-1, BINS)

        known = ~np.isnan(label)
        is_late = label == 1
        loss = -np.log(np.where(is_late, probability, 1 - probability))
        return cls(
            days=days,
            late=table(is_late),
            punctual=table(known & ~is_late),
            waiting=table(~known),
            predicted=np.bincount(of_row, probability * known, len(days)).astype(float),
            loss=np.bincount(of_row, loss * known, len(days)).astype(float),
            slices={
                name: _daily(
                    of_row[rows & known],
                    len(days),
                    is_late[rows & known],
                    probability[rows & known],
                )
                for name, rows in (slices or {}).items()
            },
        )

    @classmethod
    def none(cls) -> Self:
        """No day at all."""
        return cls.count(np.array([], "datetime64[D]"), [], [])

    def __len__(self) -> int:
        return len(self.days)

    def __add__(self, other: Outcomes) -> Outcomes:
        """Put together two counts; a day that is in both is added up."""
        days, of_row = np.unique(np.concatenate([self.days, other.days]), return_inverse=True)

        def summed(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
            total = np.zeros((len(days), *first.shape[1:]), first.dtype)
            np.add.at(total, of_row, np.concatenate([first, second]))
            return total

        tables = (summed(getattr(self, name), getattr(other, name)) for name in _TABLES)
        slices = {
            name: summed(self._slice(name), other._slice(name))
            for name in sorted({*self.slices, *other.slices})
        }
        return Outcomes(days, *tables, slices)

    def _slice(self, name: str) -> NDArray[np.float64]:
        return self.slices.get(name, np.zeros((len(self), 3)))

    def of(self, rows: NDArray[np.bool_] | slice) -> Outcomes:
        """Only some of the days."""
        tables = (getattr(self, name)[rows] for name in _TABLES)
        slices = {name: table[rows] for name, table in self.slices.items()}
        return Outcomes(self.days[rows], *tables, slices)

    def between(self, first: Any, last: Any) -> Outcomes:
        """Only the days from `first` to `last`, both included."""
        first, last = np.datetime64(first, "D"), np.datetime64(last, "D")
        return self.of((self.days >= first) & (self.days <= last))

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Flights of each day whose label is known, shape (days,)."""
        return (self.late + self.punctual).sum(axis=1)

    @property
    def rows(self) -> NDArray[np.int64]:
        """All flights of each day, shape (days,)."""
        return self.labelled + self.waiting.sum(axis=1)

    @property
    def once(self) -> Weights:
        """Each day once, shape (1, days): the weights of the outcomes as they are."""
        return np.ones((1, len(self)))

    # Statistics: from weights of shape (repeats, days) to values of shape (repeats,), NaN where
    # there are no flights to compute one of.

    def late_share(self, weights: Weights) -> NDArray[np.float64]:
        """The share of late flights."""
        return _ratio(weights @ self.late.sum(axis=1), weights @ self.labelled)

    def mean_prediction(self, weights: Weights) -> NDArray[np.float64]:
        """The mean predicted probability of the labelled flights."""
        return _ratio(weights @ self.predicted, weights @ self.labelled)

    def log_loss(self, weights: Weights) -> NDArray[np.float64]:
        """The mean log loss."""
        return _ratio(weights @ self.loss, weights @ self.labelled)

    def roc_auc(self, weights: Weights) -> NDArray[np.float64]:
        """The ROC AUC; flights of one bin count as ties, which moves it by less than 0.002."""
        return roc_auc(weights @ self.late, weights @ self.punctual)

    def roc_auc_within_days(self, weights: Weights) -> NDArray[np.float64]:
        """The mean of the days' own ROC AUC, each day counted by its flights.

        Only flights of one day are compared, so it does not matter whether the stormy days of a
        window were told from its calm ones: which days a window has moves it far less than the
        plain ROC AUC.
        """
        auc = roc_auc(self.late, self.punctual)
        flights = np.where(np.isnan(auc), 0, self.labelled)  # of a day with one kind: none
        return _ratio(weights @ (np.nan_to_num(auc) * flights), weights @ flights)

    def slice_gap(self, name: str) -> Callable[[Weights], NDArray[np.float64]]:
        """Prediction less share of late flights: of a slice, less that of all other flights.

        What all flights of a day have in common, a storm or a jam, drops out.
        """
        own = self.slices[name]
        rest = np.stack([self.labelled, self.late.sum(axis=1), self.predicted], axis=1) - own

        def statistic(weights: Weights) -> NDArray[np.float64]:
            first, second = weights @ own, weights @ rest
            return _ratio(first[:, 2] - first[:, 1], first[:, 0]) - _ratio(
                second[:, 2] - second[:, 1], second[:, 0]
            )

        return statistic

    def to_json(self) -> dict[str, Any]:
        """Return everything, ready for `json.dumps`."""
        return {
            "days": [str(day) for day in self.days],
            **{name: getattr(self, name).tolist() for name in _TABLES},
            "slices": {name: table.round(6).tolist() for name, table in self.slices.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` returned."""
        days = np.array(content["days"], "datetime64[D]")
        shape = len(days), BINS
        counts = [np.array(content[name], np.int64).reshape(shape) for name in _TABLES[:3]]
        sums = [np.array(content[name], float) for name in _TABLES[3:]]
        slices = {
            name: np.array(table, float).reshape(len(days), 3)
            for name, table in content["slices"].items()
        }
        return cls(days, *counts, *sums, slices)


_TABLES = ("late", "punctual", "waiting", "predicted", "loss")


def _daily(
    of_row: NDArray[np.intp], days: int, late: NDArray[np.bool_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    columns = (np.bincount(of_row, values, days) for values in (None, late, probability))
    return np.stack(list(columns), axis=1).astype(float)


def bin_of(probabilities: ArrayLike) -> NDArray[np.intp]:
    """The bin of each probability, 0 to `BINS` - 1."""
    probability = np.clip(np.asarray(probabilities, float), SMALLEST, 1 - SMALLEST)
    return np.searchsorted(LOGITS, np.log(probability / (1 - probability)), "right")


def roc_auc(late: ArrayLike, punctual: ArrayLike) -> NDArray[np.float64]:
    """The ROC AUC of counts in bins, shape (..., bins), half a point for a tie; shape (...)."""
    late, punctual = np.asarray(late, float), np.asarray(punctual, float)
    below = np.cumsum(punctual, axis=-1) - punctual / 2
    return _ratio((late * below).sum(axis=-1), late.sum(axis=-1) * punctual.sum(axis=-1))


def together(outcomes: Iterable[Outcomes]) -> Outcomes:
    """Add up any number of outcomes."""
    return sum(outcomes, Outcomes.none())


def _ratio(value: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(value / total)
