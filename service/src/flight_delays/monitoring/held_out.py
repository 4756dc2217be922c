"""What the reference would have scored on days the model did not know.

A model scores better on the flights it was trained on than it ever will again: on January to June
its ROC AUC is 0.81 in June where a model that never saw June reaches 0.75. Held against the first,
every later month looks like decay. So the reference's predictions for days inside the training
window come from models that were trained on the other days: blocks of whole days, a sixth of
the window each, since flights of one day share its weather and one block is about a month.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle
from flight_delays.features import encode
from flight_delays.flights import columns_of
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.slices import slices_of
from flight_delays.training import fit, predict

BLOCKS = 6


def held_out_predictions(
    bundle: Bundle, flights: pd.DataFrame, blocks: int = BLOCKS
) -> NDArray[np.float32]:
    """Predict each flight without having been trained on its day.

    Args:
        flights: table from `flights.load_flights`, or some days of it. Flights inside the bundle's
            training window are predicted by models trained on the other blocks of them, the rest
            by the bundle.

    Returns:
        Shape (flights,), float32.

    Raises:
        ValueError: there are fewer days inside the window than blocks.
    """
    day = flights["departure"].dt.normalize()
    trained_on = day.le(pd.Timestamp(bundle.info.data.last)).to_numpy()
    trained_on &= day.ge(pd.Timestamp(bundle.info.data.first)).to_numpy()
    probabilities = np.empty(len(flights), np.float32)
    probabilities[~trained_on] = bundle.predict(columns_of(flights[~trained_on]))
    if not trained_on.any():
        return probabilities
    inside = flights[trained_on]
    days, number = np.unique(day[trained_on], return_inverse=True)
    if len(days) < blocks:
        raise ValueError(f"flights: expected {blocks} days or more to hold out, found {len(days)}")
    block = number * blocks // len(days)
    found = np.empty(len(inside), np.float32)
    for one in range(blocks):
        found[block == one] = predict(fit(inside[block != one]), inside[block == one])
    probabilities[trained_on] = found
    return probabilities


def reference_outcomes(bundle: Bundle, flights: pd.DataFrame) -> Outcomes:
    """Count predictions, held out, and what happened, for the days of a table."""
    matrix = encode(columns_of(flights), bundle.vocabulary)
    return Outcomes.count(
        flights["departure"].to_numpy().astype("datetime64[D]"),
        held_out_predictions(bundle, flights),
        flights["late"].to_numpy(),
        slices_of(matrix, bundle.vocabulary),
    )
