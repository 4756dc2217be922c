"""How good the model must be on flights whose labels have not come, if nothing else has changed.

CBPE, confidence-based performance estimation (NannyML's documentation describes it): a calibrated
probability says how likely each flight is to be late, so it says what share of the warnings will
prove right, before anyone knows. All scores follow as expectations over the predictions.

It answers one kind of change only. Where the mix of flights or the weather changes and late
flights still come as often as the calibrated probability says, the estimate follows. Where P(Y|X)
changes, the same flights being late more or less often than they were, the predictions do not
move and the estimate stays where it was: it cannot see concept drift, and it says so with full
confidence. Only labels show that. It is also no better than its calibration, which comes from the
reference: a model that is too sure of itself on new days is believed.

Needs NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.outcomes import CENTRES, Outcomes, bin_of, roc_auc


@dataclass(frozen=True)
class Estimate:
    """What is to be expected on the flights of a window.

    Attributes:
        rows: flights.
        roc_auc, log_loss, late_share: expected; NaN without flights.
        warned: share of flights at or above the threshold.
        confusion: expected shares of flights: caught (late and warned), needless (punctual and
            warned), missed (late and not warned), left in peace; they add up to 1.
    """

    rows: int
    roc_auc: float
    log_loss: float
    late_share: float
    warned: float
    confusion: dict[str, float]


def calibration_of(reference: Outcomes) -> Calibration:
    """Learn the calibration map from the reference's labelled flights."""
    return Calibration.fit(reference.late.sum(axis=0), reference.punctual.sum(axis=0))


def estimate(
    probabilities: ArrayLike, calibration: Calibration, threshold: float = 0.25
) -> Estimate:
    """Estimate the scores of predictions from themselves, no label needed.

    Args:
        probabilities: as predicted, shape (flights,).
        calibration: from `calibration_of`.
        threshold: from which the service says "late", see `bundle.info.threshold`.
    """
    predicted = np.asarray(probabilities, float)
    if not len(predicted):
        return Estimate(0, np.nan, np.nan, np.nan, np.nan, {})
    expected = calibration(predicted)
    rows = len(predicted)
    bins = bin_of(predicted)
    late = np.bincount(bins, expected, len(CENTRES))
    punctual = np.bincount(bins, 1 - expected, len(CENTRES))
    warned = predicted >= threshold
    sums = {
        "caught": expected[warned].sum(),
        "needless": (1 - expected[warned]).sum(),
        "missed": expected[~warned].sum(),
        "left in peace": (1 - expected[~warned]).sum(),
    }
    return Estimate(
        rows=rows,
        roc_auc=float(roc_auc(late, punctual)),
        log_loss=float((late @ LOSS_LATE + punctual @ LOSS_PUNCTUAL) / rows),
        late_share=float(expected.mean()),
        warned=float(warned.mean()),
        confusion={name: float(total / rows) for name, total in sums.items()},
    )


def expected_loss(outcomes: Outcomes, calibration: Calibration) -> NDArray[np.float64]:
    """The log loss that the labelled flights of each day should have, as a sum, shape (days,)."""
    share = calibration(CENTRES)
    return (outcomes.late + outcomes.punctual) @ (share * LOSS_LATE + (1 - share) * LOSS_PUNCTUAL)


LOSS_LATE, LOSS_PUNCTUAL = -np.log(CENTRES), -np.log(1 - CENTRES)
"""The log loss of a late and of a punctual flight in each bin, shape (bins,)."""
