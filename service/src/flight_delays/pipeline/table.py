"""The flights that a stage reads, loaded once for all stages of a run."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from flight_delays.pipeline.stage import Place

if TYPE_CHECKING:
    import pandas as pd


def flights_between(place: Place, first: date | None, last: date) -> pd.DataFrame:
    """Return the flights scheduled from one day to another, both included."""
    import pandas as pd

    from flight_delays.flights import load_flights, split_by_day

    if "flights" not in place.cache:
        place.cache["flights"] = load_flights()
    flights, _ = split_by_day(place.cache["flights"], last)
    return flights if first is None else flights[flights["departure"] >= pd.Timestamp(first)]


def newest_flights(place: Place) -> pd.DataFrame:
    """Return the window that is kept for the gate: no model was trained on it."""
    return flights_between(place, place.config.window_first, place.config.as_of)
