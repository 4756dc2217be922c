"""Changes made on purpose to the table of flights, so that a monitor has something to find.

A scenario is a TOML file with `[[injection]]` tables. Each has a kind, a first and a last day, and
`where`, the flights it may touch (all, if it is left out):

    concept  what follows from the features changes, P(Y|X): punctual flights become late
             (`becomes_late`, a share) or late ones punctual (`becomes_punctual`).
    unit     a number arrives in another unit: `feature` becomes value * `factor` + `offset`.
    missing  `features` are not there any more, for a `share` of the flights.
    stuck    a sensor stands still: `feature` keeps, for each origin, the last value it had before
             the first day, or `value`.
    mix      other flights are asked about, P(X): a `share` of them changes `to` other categories,
             leaves other `minutes` later or earlier, or is not asked about at all (`drop`).

Which flights are touched is drawn from the flight itself, its schedule and number, and the
scenario's `seed`: the same flight is drawn the same way in any part of the table, on any machine.
Whatever shows figures of such a table has to say that they are injected, see `Scenario.told`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flight_delays.features import CATEGORIES, FEATURES, NUMBERS
from flight_delays.flights import LATE_MINUTES

KEY = ["departure", "carrier", "flight", "origin", "destination"]
LONGEST_DELAY = 120.0  # minutes, of a punctual flight that an injection makes late
MINUTES_A_DAY = 1440

_BY_NAME = {feature.name: feature for feature in FEATURES}
_READINGS = tuple(f.name for f in FEATURES if f.kind == "number" and f.may_be_missing)

Share = Annotated[float, Field(gt=0, le=1)]
Hour = Annotated[int, Field(ge=0, le=23)]
Draws = NDArray[np.float64]
"""Shape (flights,), uniform in [0, 1), one a flight."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Where(_Section):
    """The flights an injection may touch: those that fit every list that is given.

    `hours` are the first and the last hour of the scheduled departure, both included.
    """

    carrier: list[str] | None = None
    origin: list[str] | None = None
    destination: list[str] | None = None
    hours: Annotated[list[Hour], Field(min_length=2, max_length=2)] = [0, 23]

    def rows(self, flights: pd.DataFrame) -> NDArray[np.bool_]:
        """Say of each flight whether it fits, shape (flights,)."""
        hour = flights["departure_minute"].to_numpy() // 60
        fits = (hour >= self.hours[0]) & (hour <= self.hours[1])
        for name in CATEGORIES:
            if (values := getattr(self, name)) is not None:
                fits &= flights[name].isin(values).to_numpy()
        return fits

    def __str__(self) -> str:
        parts = [
            f"{name} {' '.join(values)}"
            for name in CATEGORIES
            if (values := getattr(self, name)) is not None
        ]
        if self.hours != [0, 23]:
            parts.append(f"{self.hours[0]}:00 to {self.hours[1]}:59")
        return ", ".join(parts) or "all flights"


class _Injection(_Section):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    first: date
    last: date
    where: Where = Where()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"first: expected a day up to {self.last}, found {self.first}")
        return self

    def rows(self, flights: pd.DataFrame) -> NDArray[np.bool_]:
        """Say of each flight whether it may be touched, shape (flights,)."""
        departure = flights["departure"]
        after = pd.Timestamp(self.last) + pd.Timedelta(days=1)
        during = (departure >= pd.Timestamp(self.first)) & (departure < after)
        return during.to_numpy() & self.where.rows(flights)

    def told(self) -> str:
        """Say in one line what is injected."""
        days = f"{self.first} to {self.last}"
        return f"injected {self.kind}, {self.name}: {self.what()}; {self.where}, {days}"


class Concept(_Injection):
    """P(Y|X) changes; the features stay as they are."""

    kind: Literal["concept"]
    becomes_late: Annotated[float, Field(ge=0, le=1)] = 0.0
    becomes_punctual: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.becomes_late and not self.becomes_punctual:
            raise ValueError("becomes_late: expected this or becomes_punctual above 0, found none")
        return self

    def change(self, flights: pd.DataFrame, rows: NDArray[np.bool_], draws: Draws) -> pd.DataFrame:
        late = flights["late"].to_numpy()
        delay = flights["arrival_delay"].to_numpy().copy()
        now_late = rows & ~late & (draws < self.becomes_late)
        share = draws[now_late] / max(self.becomes_late, 1e-12)  # uniform again
        delay[now_late] = LATE_MINUTES + np.round(share * (LONGEST_DELAY - LATE_MINUTES))
        now_punctual = rows & late & (draws < self.becomes_punctual)
        delay[now_punctual] = 0
        return flights.assign(arrival_delay=delay, late=delay >= LATE_MINUTES)

    def what(self) -> str:
        parts = []
        if self.becomes_late:
            parts.append(f"{self.becomes_late:.0%} of the punctual flights become late")
        if self.becomes_punctual:
            parts.append(f"{self.becomes_punctual:.0%} of the late flights become punctual")
        return ", ".join(parts)


class Unit(_Injection):
    """A number in another unit; the label stays as it is."""

    kind: Literal["unit"]
    feature: Literal[NUMBERS]
    factor: float = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.factor == 1 and self.offset == 0:
            raise ValueError("factor: expected another factor than 1 or an offset, found neither")
        return self

    def change(self, flights: pd.DataFrame, rows: NDArray[np.bool_], draws: Draws) -> pd.DataFrame:
        values = flights[self.feature].to_numpy().copy()
        values[rows] = values[rows] * np.float32(self.factor) + np.float32(self.offset)
        return flights.assign(**{self.feature: _possible(self, self.feature, values)})

    def what(self) -> str:
        return f"{self.feature} is multiplied by {self.factor:g}, plus {self.offset:g}"


class Missing(_Injection):
    """Values that are not there any more."""

    kind: Literal["missing"]
    features: Annotated[list[Literal[_READINGS + CATEGORIES]], Field(min_length=1)]
    share: Share = 1.0

    def change(self, flights: pd.DataFrame, rows: NDArray[np.bool_], draws: Draws) -> pd.DataFrame:
        gone = rows & (draws < self.share)
        return flights.assign(**{name: flights[name].mask(gone) for name in self.features})

    def what(self) -> str:
        return f"{', '.join(self.features)} missing for {self.share:.0%} of the flights"


class Stuck(_Injection):
    """A sensor that says the same all the time."""

    kind: Literal["stuck"]
    feature: Literal[NUMBERS]
    value: float | None = None

    def change(self, flights: pd.DataFrame, rows: NDArray[np.bool_], draws: Draws) -> pd.DataFrame:
        values = flights[self.feature].to_numpy().copy()
        before = flights[flights["departure"] < pd.Timestamp(self.first)].sort_values("departure")
        last = before.groupby("origin", observed=True)[self.feature].last()
        for origin in flights.loc[rows, "origin"].unique():
            stands = last.get(origin) if self.value is None else self.value
            if stands is None:
                raise ValueError(
                    f"{self.name}: value: {self.feature} has no reading at {origin} before "
                    f"{self.first}; give the value at which it stands still"
                )
            values[rows & (flights["origin"] == origin).to_numpy()] = stands
        return flights.assign(**{self.feature: _possible(self, self.feature, values)})

    def what(self) -> str:
        at = "its last value" if self.value is None else f"{self.value:g}"
        return f"{self.feature} stands still at {at}"


class Mix(_Injection):
    """Other flights are asked about: P(X) changes, and with it what comes of it."""

    kind: Literal["mix"]
    share: Share = 1.0
    to: dict[Literal[CATEGORIES], str] = {}
    minutes: Annotated[int, Field(gt=-MINUTES_A_DAY, lt=MINUTES_A_DAY)] = 0
    drop: bool = False

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if sum([bool(self.to), self.minutes != 0, self.drop]) != 1:
            raise ValueError("to: expected one of to, minutes and drop")
        return self

    def change(self, flights: pd.DataFrame, rows: NDArray[np.bool_], draws: Draws) -> pd.DataFrame:
        moved = rows & (draws < self.share)
        if self.drop:
            return flights[~moved]
        if self.minutes:
            return self._later(flights, moved)
        return flights.assign(**{n: _recoded(flights[n], moved, v) for n, v in self.to.items()})

    def _later(self, flights: pd.DataFrame, moved: NDArray[np.bool_]) -> pd.DataFrame:
        """Move the departure within its day; weather and label stay those of the flight."""
        minute = flights["departure_minute"].to_numpy()
        new = np.where(moved, np.clip(minute + self.minutes, 0, MINUTES_A_DAY - 1), minute)
        shift = pd.to_timedelta(np.asarray(new - minute, dtype=np.int64), unit="min")
        return flights.assign(
            departure=flights["departure"] + shift, departure_minute=new.astype(np.float32)
        )

    def what(self) -> str:
        if self.drop:
            return f"{self.share:.0%} of the flights are not asked about"
        if self.minutes:
            return f"{self.share:.0%} of the flights leave {self.minutes:+d} minutes from schedule"
        to = ", ".join(f"{name} {value}" for name, value in self.to.items())
        return f"{self.share:.0%} of the flights become {to}"


Injection = Annotated[Concept | Unit | Missing | Stuck | Mix, Field(discriminator="kind")]


class Scenario(_Section):
    """The content of a scenario file; the injections are applied in its order."""

    seed: Annotated[int, Field(ge=0)] = 0
    injection: Annotated[list[Injection], Field(min_length=1)]

    def told(self) -> list[str]:
        """Say what is injected, a line each; to be shown with whatever is made of the table."""
        return [injection.told() for injection in self.injection]


class ScenarioError(ValueError):
    """A scenario file is wrong; the message has a line for each fault."""


def read_scenario(path: Path) -> Scenario:
    """Read a scenario from a TOML file.

    Raises:
        ScenarioError: with every fault of the file.
    """
    path = Path(path)
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ScenarioError(f"{path.name}: not found in {path.parent}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path.name}: {error}") from None
    except ValidationError as error:
        raise ScenarioError("\n".join(_explain(path.name, error.errors()))) from None


def apply(flights: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return the table with the scenario's injections; the given one stays as it is.

    Args:
        flights: table from `flights.load_flights`, or some rows of it. `stuck` without a value
            needs the rows before its first day.

    Raises:
        ValueError: an injection makes a value that no flight can have and the service refuses.
    """
    flown = flights[KEY].reset_index(
        drop=True
    )  # as scheduled: an injection that moves flights draws no other ones
    result = flights.reset_index(drop=True)  # a label of the index may be there twice
    for injection in scenario.injection:
        rows = injection.rows(result)
        draws = draw(flown.loc[result.index], f"{scenario.seed} {injection.name}")
        result = injection.change(result, rows, draws)
    return result.set_axis(flights.index[result.index])


def draw(flights: pd.DataFrame, purpose: str) -> Draws:
    """Draw a number for each flight from what names it, the columns `KEY`.

    Two purposes give numbers that have nothing to do with each other.
    """
    key = hashlib.blake2b(purpose.encode(), digest_size=8).hexdigest()  # 16 characters, as wanted
    hashes = pd.util.hash_pandas_object(flights[KEY], index=False, hash_key=key).to_numpy()
    return (hashes >> np.uint64(11)).astype(float) / 2**53


def _possible(injection: _Injection, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refuse what the service would refuse, since such a flight leaves no prediction."""
    feature = _BY_NAME[name]
    wrong = (values < feature.minimum) | (values > feature.maximum)
    if wrong.any():
        raise ValueError(
            f"{injection.name}: {name}: expected numbers from {feature.minimum:g} to "
            f"{feature.maximum:g} ({feature.unit}), found {values[wrong][0]:g}; the service "
            f"refuses such a flight, so choose another factor, offset or value"
        )
    return values


def _recoded(column: pd.Series, rows: NDArray[np.bool_], value: str) -> pd.Series:
    texts = column.astype(object).mask(rows, value)
    return texts.astype("category")


def _explain(file: str, faults: Iterable[Any]) -> list[str]:
    lines = []
    for fault in faults:
        where = ".".join(str(part) for part in fault["loc"])
        lines.append(f"{file}: {where}: {fault['msg'].removeprefix('Value error, ')}")
    return lines
