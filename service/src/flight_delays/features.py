"""The features of a flight, and the one function that turns them into numbers.

Training and serving both call `encode`, so they cannot disagree about a unit or an order of
columns. This module imports NumPy and nothing else: the serving image has no pandas.

Two things to know about the data behind the features:

- Every feature is known before the plane leaves. The weather is an observation, not a forecast:
  the reading labelled with the clock hour before the scheduled hour. A reading labelled 14:00 was
  taken as late as 14:51 (see `flights.load_flights`), so for a flight at 14:20 the 13:00 reading
  is the last one that was certainly there.
- Cancelled flights and flights that landed elsewhere have no arrival delay. They are left out, so
  the model answers "late, given that it arrives".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Feature name to its values, one a row."""

Vocabulary = Mapping[str, Mapping[str, int]]
"""Category feature to its known values, each with its code 0, 1, 2, ..."""

UNKNOWN = -1.0
"""The code of a category value that is missing or was never seen in training.

A tree splits on `code <= threshold`, so it treats -1 as it treats the first value in the
alphabet. That is a guess. `unknown_values` names such values, and the service passes them on.
"""


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model.

    `minimum` and `maximum` (both inclusive, None for a category) bound what is possible, not
    what is usual: a value outside is an error of the sender, and `encode` refuses it.
    """

    name: str
    kind: Literal["category", "number"]
    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    may_be_missing: bool = False


def _category(name: str, unit: str, description: str) -> Feature:
    return Feature(name, "category", unit, description, may_be_missing=True)


def _schedule(name: str, unit: str, low: float, high: float, description: str) -> Feature:
    return Feature(name, "number", unit, description, low, high)


def _reading(name: str, unit: str, low: float, high: float, description: str) -> Feature:
    return Feature(name, "number", unit, description, low, high, may_be_missing=True)


# Chosen by training on the months before April, May and June of 2013 and scoring the month after:
# mean ROC AUC 0.720 for this list. Left out:
# - month: 0.720 with it, and a worse log loss. Trained on January-June, every tree would send
#   July to December wherever it sends June.
# - wind gust: 0.719 with it; four readings in five have none.
# - seats: 0.720 with it, one more field for every client to fill in.
FEATURES: tuple[Feature, ...] = (
    _category("carrier", "IATA code", "The airline that operates the flight."),
    _category("origin", "IATA code", "The airport the flight leaves from."),
    _category("destination", "IATA code", "The airport the flight goes to."),
    _schedule("departure_minute", "minutes", 0, 1439, "Scheduled departure, after local midnight."),
    _schedule("weekday", "days", 0, 6, "Day of the scheduled departure, Monday is 0."),
    _schedule("distance", "miles", 1, 12_500, "Distance between the two airports."),
    _reading("temperature", "degrees Fahrenheit", -80, 140, "Air temperature at the origin."),
    _reading("dew_point", "degrees Fahrenheit", -80, 100, "Dew point at the origin."),
    _reading("humidity", "percent", 0, 100, "Relative humidity at the origin."),
    _reading("wind_direction", "degrees", 0, 360, "Where the wind comes from, north is 360."),
    _reading("wind_speed", "miles per hour", 0, 150, "Wind speed at the origin."),
    _reading("precipitation", "inches", 0, 15, "Rain or melted snow within the hour."),
    _reading("pressure", "millibars", 850, 1100, "Air pressure at the origin, at sea level."),
    _reading("visibility", "miles", 0, 100, "How far one can see at the origin."),
    _reading("plane_age", "years", 0, 100, "Year of the flight less the year the plane was built."),
)

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
CATEGORIES: tuple[str, ...] = tuple(f.name for f in FEATURES if f.kind == "category")
NUMBERS: tuple[str, ...] = tuple(f.name for f in FEATURES if f.kind == "number")

_LOW = np.array([-np.inf if f.minimum is None else f.minimum for f in FEATURES], np.float32)
_HIGH = np.array([np.inf if f.maximum is None else f.maximum for f in FEATURES], np.float32)
_MAY_BE_MISSING = np.array([f.may_be_missing for f in FEATURES])
_PLAIN = {float, int, type(None)}


def encode(columns: Columns, vocabulary: Vocabulary) -> NDArray[np.float32]:
    """Turn raw columns into the matrix the classifier reads.

    A category becomes its code in `vocabulary`, or `UNKNOWN`; a number stays as it is. A missing
    number (None or NaN) becomes NaN where the feature may be missing.

    Returns:
        Array of shape (rows, features), float32, columns in the order of `FEATURES`.

    Raises:
        ValueError: a column is missing, not a feature, of another length, of another type, or
            holds a value outside the feature's range. The message begins with its name.
    """
    rows = _count_rows(columns)
    matrix = np.empty((rows, len(FEATURES)), dtype=np.float32)
    with np.errstate(over="ignore"):  # too large for float32 becomes inf: out of range, below
        for position, feature in enumerate(FEATURES):
            name, column = feature.name, columns[feature.name]
            if feature.kind == "category":
                matrix[:, position] = _codes(name, column, vocabulary[name])
            else:
                matrix[:, position] = _numbers(name, column)
    _check_ranges(matrix)
    return matrix


def learn_vocabulary(columns: Columns) -> dict[str, dict[str, int]]:
    """Number the values of each category feature in alphabetical order, missing ones left out."""
    return {name: number_values(sorted(_texts(columns[name]))) for name in CATEGORIES}


def number_values(values: Iterable[str]) -> dict[str, int]:
    """Give each value its position as its code."""
    return {value: code for code, value in enumerate(values)}


def unknown_values(columns: Columns, vocabulary: Vocabulary) -> dict[str, list[str | None]]:
    """List the category values that `encode` gives the code `UNKNOWN`.

    Args:
        columns: columns that `encode` accepts.

    Returns:
        Feature name to its distinct unknown values in order of appearance, None for a missing
        one; features without any are absent, so an empty dict means that all are known.
    """
    unknown = {}
    for name in CATEGORIES:
        known = vocabulary[name]
        values = dict.fromkeys(
            value if isinstance(value, str) else None
            for value in columns[name]
            if value not in known
        )
        if values:
            unknown[name] = list(values)
    return unknown


def _count_rows(columns: Columns) -> int:
    """Check names and lengths; return the number of rows."""
    if not isinstance(columns, Mapping):
        raise ValueError(
            f"columns: expected a mapping from feature name to values, "
            f"found {type(columns).__name__}"
        )
    for name in columns:
        if name not in NAMES:
            raise ValueError(f"{name}: not a feature; the features are {', '.join(NAMES)}")
    rows = None
    for name in NAMES:
        if name not in columns:
            raise ValueError(f"{name}: column is missing")
        length = _length(name, columns[name])
        if rows is None:
            rows = length
        elif length != rows:
            raise ValueError(f"{name}: expected {rows} rows like {NAMES[0]}, found {length}")
    return rows


def _length(name: str, column: Any) -> int:
    try:
        if not isinstance(column, str | bytes | Mapping | set):
            return len(column)
    except TypeError:  # a number, None, an array without dimensions
        pass
    raise ValueError(f"{name}: expected a list of values, one a row, found {column!r}")


def _codes(name: str, column: Any, codes: Mapping[str, int]) -> list[float]:
    values = column.tolist() if isinstance(column, np.ndarray) else column
    try:
        result = [codes.get(value, UNKNOWN) for value in values]
    except TypeError:  # a list or a dict cannot be looked up
        result = [UNKNOWN]
    if UNKNOWN in result:
        for row, value in enumerate(values):
            if not isinstance(value, str) and not _is_missing(value):
                raise ValueError(f"{name}: row {row}: expected text, found {value!r}")
    return result


def _numbers(name: str, column: Any) -> NDArray[Any] | list[float]:
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiu" and column.ndim == 1:
        return column
    if {type(value) for value in column} <= _PLAIN:
        with suppress(OverflowError):  # an int beyond 1.8e308
            return np.array(column, dtype=np.float64)  # None becomes NaN
    # NumPy would turn text and truth values into numbers, so look at each value instead.
    return [_number(name, row, value) for row, value in enumerate(column)]


def _number(name: str, row: int, value: Any) -> float:
    if value is None:
        return np.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    raise ValueError(f"{name}: row {row}: expected a number, found {value!r}")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _texts(column: Iterable[Any]) -> set[str]:
    return {value for value in column if not _is_missing(value)}


def _check_ranges(matrix: NDArray[np.float32]) -> None:
    wrong = ~((matrix >= _LOW) & (matrix <= _HIGH))  # also where NaN
    if not wrong.any():
        return
    wrong &= ~(np.isnan(matrix) & _MAY_BE_MISSING)
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        feature, value = FEATURES[position], matrix[row, position]
        found = "none" if np.isnan(value) else f"{value:g}"
        raise ValueError(
            f"{feature.name}: row {row}: expected a number from {feature.minimum:g} "
            f"to {feature.maximum:g} ({feature.unit}), found {found}"
        )
