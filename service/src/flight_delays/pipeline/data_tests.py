"""Tests of the training data, before a model is made of it."""

from __future__ import annotations

from datetime import date

import pandas as pd

from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import DataLimits

GROUP = "data"


def check_data(flights: pd.DataFrame, *, as_of: date, limits: DataLimits | None = None) -> Findings:
    """Test a table of flights that a model is to be trained on.

    Args:
        flights: the training window, as from `flights.load_flights`.
        as_of: the newest day whose flights have landed.
    """
    limits = limits or DataLimits()
    age = (as_of - flights["departure"].max().date()).days
    fresh = 0 <= age <= limits.max_age_days
    return Findings(
        [
            Finding(
                "freshness",
                fresh,
                f"{age} days before {as_of}",
                f"0 to {limits.max_age_days} days",
                "" if fresh else "The model would know a world that is gone.",
                GROUP,
            )
        ]
    )
