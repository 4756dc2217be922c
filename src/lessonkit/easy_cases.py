"""Flights whose answer nobody doubts, for a test of the least that a model must be able to do."""

from __future__ import annotations

import pandas as pd

# Departure, inches of rain, miles of sight, and the bounds of the probability; both ends are allowed.
CASES: dict[str, tuple[str, float, float, float, float]] = {
    "clear morning": ("2013-09-10 06:30", 0.0, 10.0, 0.0, 0.25),
    "cloudburst in the evening": ("2013-07-08 19:30", 0.6, 1.0, 0.5, 1.0),
    "any other afternoon": ("2013-05-14 14:00", 0.0, 10.0, 0.02, 0.6),
    "fog at noon": ("2013-03-12 12:00", 0.0, 0.25, 0.25, 1.0),
}
USUAL = {"flight": 1141, "carrier": "B6", "origin": "JFK", "temperature": 60.0, "wind_speed": 9.0}


def easy_cases() -> pd.DataFrame:
    """The cases as a table of flights, index by name, with the bounds `low` and `high`."""
    rows = [
        {"departure": pd.Timestamp(when), **USUAL, "precipitation": rain, "visibility": sight, "low": low, "high": high}
        for when, rain, sight, low, high in CASES.values()
    ]
    return pd.DataFrame(rows, index=list(CASES))
