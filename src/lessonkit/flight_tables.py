"""Small tables of real flights, and the plain columns in which a table travels.

A table has one row a flight: `departure` (datetime64), `flight` (its number), `carrier` and `origin` (texts),
the numbers of `RANGES`, and `late` (bool).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

# What is possible, both ends included: degrees Fahrenheit, miles per hour, inches within the hour, miles.
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (-80, 140),
    "wind_speed": (0, 150),
    "precipitation": (0, 15),
    "visibility": (0, 100),
}
COLUMNS = ("departure", "flight", "carrier", "origin", *RANGES, "late")


@cache
def all_flights() -> pd.DataFrame:
    """Every flight of 2013 that arrived, all features, categories as texts. Nobody may change it."""
    from flight_delays.flights import load_flights  # a second or two, for those who need it

    flights = load_flights()
    texts = flights.select_dtypes("category").columns
    return flights.astype(dict.fromkeys(texts, object))


def sample_flights(rows: int, first: str, last: str, seed: int) -> pd.DataFrame:
    """Draw flights of the days from `first` to `last`, both included, with at least one of each day.

    Returns:
        The columns of COLUMNS, in the order of departure, index from 0.
    """
    flights = all_flights()
    day = flights["departure"].dt.normalize()
    window = flights[(day >= first) & (day <= last)]
    mixed = window.sample(frac=1, random_state=seed)
    one_a_day = mixed.groupby(mixed["departure"].dt.normalize()).head(1)
    rest = mixed.drop(one_a_day.index).head(max(0, rows - len(one_a_day)))
    drawn = pd.concat([one_a_day, rest])[list(COLUMNS)]
    drawn = drawn.drop_duplicates(["carrier", "flight", "departure"])
    return drawn.sort_values(["departure", "carrier", "flight"], ignore_index=True)


def columns_of(table: pd.DataFrame) -> dict[str, Any]:
    """A table as plain columns: arrays of numbers, lists of texts; dates as texts."""
    plain: dict[str, Any] = {}
    for name, column in table.items():
        if column.dtype.kind == "M":
            plain[str(name)] = column.dt.strftime("%Y-%m-%dT%H:%M:%S").tolist()
        else:
            plain[str(name)] = column.tolist() if column.dtype.kind == "O" else column.to_numpy()
    return plain


def as_table(columns: Mapping[str, Any], index: list[str] | None = None) -> pd.DataFrame:
    """The table that `columns_of` took apart."""
    table = pd.DataFrame({name: np.asarray(column) for name, column in columns.items()}, index=index)
    for name in table.columns.intersection(["departure"]):
        table[name] = pd.to_datetime(table[name])
    return table
