"""Behaviour tests: what every sensible model of flight delays must do, whatever its scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flight_delays.bundle import Bundle
from flight_delays.flights import columns_of
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import BehaviourLimits

GROUP = "behaviour"


def behaviour_tests(
    bundle: Bundle, flights: pd.DataFrame, limits: BehaviourLimits | None = None, seed: int = 0
) -> Findings:
    """Try a model on real flights, and on the same flights changed in one way.

    Args:
        flights: table from `flights.load_flights`, or some rows of it.
    """
    limits = limits or BehaviourLimits()
    rows = flights.sample(min(2_000, len(flights)), random_state=seed)
    columns = columns_of(rows)
    together = bundle.predict(columns)
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = bundle.predict({name: values[order] for name, values in columns.items()})
    apart = float(np.abs(shuffled - together[order]).max())
    return Findings(
        [
            Finding(
                "order of the flights in a batch",
                apart <= limits.rounding,
                f"{apart:.2g}",
                f"<= {limits.rounding:g}",
                ""
                if apart <= limits.rounding
                else "The answer for a flight depends on its neighbours in the batch.",
                GROUP,
            )
        ]
    )
