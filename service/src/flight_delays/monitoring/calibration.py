"""How predicted probabilities relate to what happens: log odds of late = intercept + slope x
log odds predicted (Cox 1958). A calibrated model has intercept 0 and slope 1; a slope below 1
says that the model is too sure of itself. Needs NumPy only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flight_delays.monitoring.outcomes import CENTRES, SMALLEST

_STEPS = 50
_LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class Calibration:
    """The line, which is also a map from what a model says to what it should say."""

    intercept: float = 0.0
    slope: float = 1.0

    @classmethod
    def fit(cls, late: ArrayLike, punctual: ArrayLike, at: ArrayLike = CENTRES) -> Self:
        """Fit the line by maximum likelihood (Newton's method).

        Args:
            late, punctual: counts, shape (bins,).
            at: the predicted probability of each bin.

        Raises:
            ValueError: there are no late flights, or no punctual ones.
        """
        late, total = np.asarray(late, float), np.asarray(late, float) + np.asarray(punctual, float)
        if not 0 < late.sum() < total.sum():
            raise ValueError(
                f"calibration: expected late and punctual flights, found {late.sum():.0f} late of "
                f"{total.sum():.0f}"
            )
        design = np.stack([np.ones(len(late)), logit(at)])
        line = np.array([0.0, 1.0])
        for _ in range(_STEPS):
            expected = _sigmoid(line @ design)
            spread = np.maximum(total * expected * (1 - expected), 1e-12)
            step, *_ = np.linalg.lstsq(
                (design * spread) @ design.T, design @ (late - total * expected), rcond=None
            )
            line = np.clip(line + step, -_LARGEST_LOGIT, _LARGEST_LOGIT)
            if np.abs(step).max() < 1e-9:
                break
        return cls(float(line[0]), float(line[1]))

    def __call__(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """What the model should have said."""
        return _sigmoid(self.intercept + self.slope * logit(probabilities))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def logit(probabilities: ArrayLike) -> NDArray[np.float64]:
    """The log odds of probabilities; 0 and 1 count as next to it."""
    probability = np.clip(np.asarray(probabilities, float), SMALLEST, 1 - SMALLEST)
    return np.log(probability / (1 - probability))


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(value, -_LARGEST_LOGIT, _LARGEST_LOGIT)))
