"""Every day of 2013 as it was and as each injection makes it: rows, what the model says of them, and their labels.

A year of the bench is a list of such days, so that the model is asked once for each flight and injection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.features import CATEGORIES, NAMES, NUMBERS, encode
from flight_delays.flights import columns_of, split_by_day
from flight_delays.monitoring.reference import cross_fitted
from flight_delays.monitoring.scenario import Scenario, apply, draw, read_scenario

INJECTIONS = Path(__file__).with_name("injections.toml")
NONE = "none"  # no injection
FIRST_LAG, LAST_LAG = 2, 7  # days from a flight to its label


@dataclass(frozen=True)
class Rows:
    """Flights of one day or of several, one after the other.

    Attributes
    ----------
    matrix : float32, shape (flights, features), as `features.encode` makes it
    probabilities : float32, shape (flights,)
    late : bool, shape (flights,)
    lag : int8, shape (flights,), days until the label is known
    """

    matrix: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    late: NDArray[np.bool_]
    lag: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.late)

    def __getitem__(self, which: slice | NDArray[np.bool_]) -> Rows:
        return Rows(self.matrix[which], self.probabilities[which], self.late[which], self.lag[which])

    @classmethod
    def together(cls, parts: Sequence[Rows]) -> Rows:
        columns = zip(*((one.matrix, one.probabilities, one.late, one.lag) for one in parts), strict=True)
        return cls(*map(np.concatenate, columns))


@dataclass(frozen=True)
class Variant:
    """All days with one injection; day 0 is `Days.first`."""

    rows: Rows
    starts: NDArray[np.intp]  # shape (days + 1,), where each day's flights begin

    def day(self, number: int) -> Rows:
        return self.rows[slice(self.starts[number], self.starts[number + 1])]


@dataclass(frozen=True)
class Days:
    """The days the bench draws from.

    Attributes
    ----------
    first : the day with the number 0
    flights : the table of `flights.load_flights` without injection, sorted by departure
    variants : name of an injection, or `NONE`, to its days; those with an injection begin on its first day
    bundle : the folder of the model behind all predictions
    """

    first: date
    flights: pd.DataFrame
    variants: dict[str, Variant]
    bundle: Path

    @property
    def injections(self) -> list[str]:
        return [name for name in self.variants if name != NONE]

    def load(self) -> Bundle:
        return load_bundle(self.bundle)

    def frame(self, rows: Rows, vocabulary: dict[str, dict[str, int]]) -> pd.DataFrame:
        """Rows as a table: what the other monitors read. Missing categories are None, missing numbers NaN."""
        table = pd.DataFrame(rows.matrix, columns=list(NAMES))[list(NUMBERS)].astype(float)
        for name in CATEGORIES:
            texts = np.array([*vocabulary[name], None], dtype=object)  # the code -1 is the last one
            table.insert(0, name, texts[rows.matrix[:, NAMES.index(name)].astype(int)])
        return table.assign(prediction=rows.probabilities.astype(float), late=rows.late)

    def table(self, numbers: Sequence[int], first: date) -> pd.DataFrame:
        """The flights of some days without injection, dated one day after the other from `first` on."""
        starts = self.variants[NONE].starts
        parts = []
        for position, number in enumerate(numbers):
            part = self.flights.iloc[starts[number] : starts[number + 1]]
            moved = pd.Timedelta(days=(first - self.first).days + position - number)
            parts.append(part.assign(departure=part["departure"] + moved))
        return pd.concat(parts, ignore_index=True)


def make_days(flights: pd.DataFrame, bundle: Path, injections: Path = INJECTIONS) -> Days:
    """Ask the model about every flight under every injection.

    Days that the model was trained on get predictions by models that were not, see
    `flight_delays.monitoring.reference`.
    """
    model = load_bundle(bundle)
    flights = flights.sort_values("departure", kind="stable", ignore_index=True)
    first, last = (flights["departure"].iloc[row].date() for row in (0, -1))
    lag = (FIRST_LAG + draw(flights, "lag") * (LAST_LAG - FIRST_LAG + 1)).astype(np.int8)
    flights = flights.assign(lag=lag)
    days = (last - first).days + 1
    variants = {NONE: _variant(flights, _honest(model, flights), first, days, model)}
    for name, scenario in _alone(read_scenario(injections)):
        begins = pd.Timestamp(scenario.injection[0].first)
        table = apply(flights[flights["departure"] >= begins], scenario)
        variants[name] = _variant(table, model.predict(columns_of(table)), first, days, model)
    return Days(first, flights.drop(columns="lag"), variants, bundle)


def _honest(model: Bundle, flights: pd.DataFrame) -> NDArray[np.float32]:
    known, later = split_by_day(flights, model.info.data.last)
    parts = [cross_fitted(known, known["departure"].to_numpy().astype("datetime64[D]"))] if len(known) else []
    return np.concatenate([*parts, model.predict(columns_of(later))])


def _alone(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    for injection in scenario.injection:
        yield injection.name, Scenario(seed=scenario.seed, injection=[injection])


def _variant(table: pd.DataFrame, probabilities: NDArray[np.float32], first: date, days: int, model: Bundle) -> Variant:
    number = (table["departure"].dt.normalize() - pd.Timestamp(first)).dt.days.to_numpy()
    order = np.argsort(number, kind="stable")
    matrix = encode(columns_of(table), model.vocabulary)
    rows = Rows(matrix, probabilities, table["late"].to_numpy(), table["lag"].to_numpy())
    return Variant(rows[order], np.searchsorted(number[order], np.arange(days + 1)))
