"""A model of few numbers, whose behaviour can be read off them: a logistic scorecard of a flight.

It stands in where a model must behave in a known way, well or badly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Centre and scale of each number, so that weights can be compared.
SCALES: dict[str, tuple[float, float]] = {
    "temperature": (60, 20),
    "wind_speed": (10, 6),
    "precipitation": (0, 0.2),
    "visibility": (9, 2.5),
}
HONEST: dict[str, float] = {"base": -1.35, "hour": 0.1, "precipitation": 0.5, "visibility": -0.25, "wind_speed": 0.1}


class Scorecard:
    """Probability that a flight is late, from weights by name.

    Args:
        weights: `base`, `hour` (for each hour after noon), a number of SCALES, `precipitation:UA` (for the flights
            of that carrier only), `flight` (the remainder of its number through 7), `batch` (how the temperature
            differs from the mean of the rows that came with it), `jitter` (added for each row that came with it),
            `broken` (flights with more than so many inches get NaN), `scale` (multiplies the probability).

    Called with a table it gives the probabilities, shape (rows,). It does not change the table.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)

    def __call__(self, table: pd.DataFrame) -> NDArray[np.float64]:
        weights = self._weights
        departure = table["departure"].to_numpy().astype("datetime64[m]")
        minute = (departure - departure.astype("datetime64[D]")).astype(float)
        logit = weights.get("base", 0.0) + weights.get("hour", 0.0) * (minute / 60 - 12)
        for name, (centre, scale) in SCALES.items():
            known = np.nan_to_num((table[name].to_numpy(dtype=float) - centre) / scale)
            value = np.clip(known, -4, 4)
            logit = logit + weights.get(name, 0.0) * value
            for carrier in {key.partition(":")[2] for key in weights if key.startswith(f"{name}:")}:
                mine = table["carrier"].to_numpy() == carrier
                logit = logit + np.where(mine, weights[f"{name}:{carrier}"] * value, 0.0)
        logit = logit + weights.get("flight", 0.0) * (table["flight"].to_numpy() % 7)
        temperature = table["temperature"].to_numpy(dtype=float)
        typical = np.nanmean(temperature) if np.isfinite(temperature).any() else 0.0
        logit = logit + weights.get("batch", 0.0) * np.nan_to_num(temperature - typical) / 20
        probability = weights.get("scale", 1.0) / (1 + np.exp(-logit)) + weights.get("jitter", 0.0) * len(table)
        wet = table["precipitation"].to_numpy() > weights.get("broken", np.inf)
        return np.where(wet, np.nan, probability)
