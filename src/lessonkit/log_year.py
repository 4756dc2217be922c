"""A year of prediction logs in which several things went wrong, drawn from a name.

Flights and weather are real days of 2013, drawn again within their month. Whether a flight was late is drawn from a
chance that is known (`chance`), and so is every trouble: it is injected, on a known day. The log is dated 2014, the
year before it, without trouble, 2013.

Who wants to do lab 06 does not read `plan`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lessonkit.flight_tables import all_flights

ROWS_A_DAY = 60
READINGS = ("temperature", "wind_speed", "visibility")
ORIGINS = ("EWR", "JFK", "LGA")
AS_OF = "2015-03-01"  # by then every label has come that ever comes

# Each reading's centre, the width of a step, and what a step adds to the log odds of being late.
_STEPS = {"temperature": (57, 18, 0.12), "wind_speed": (10, 5, 0.2), "visibility": (10, 2, -0.3)}
_CARRIERS = {"EV": 0.4, "UA": -0.2, "DL": -0.4, "AA": -0.3, "US": -0.3, "MQ": 0.2}
_ORIGINS = {"EWR": 0.2, "LGA": 0.1}
# Fahrenheit to Celsius, miles to kilometres: what is added, then multiplied with.
_UNITS = {"temperature": (-32, 1 / 1.8), "visibility": (0, 1.609344)}


@dataclass(frozen=True)
class Trouble:
    """Something that went wrong from a day on to the end of its month.

    Attributes
    ----------
    cause
        "data fault", "concept drift" or "behaviour change".
    what
        In words, for who asks after the lab.
    """

    cause: str
    kind: str
    first: date
    what: str
    target: str = ""
    origin: str = ""


@dataclass(frozen=True)
class LogYear:
    """What a monitor has.

    Attributes
    ----------
    last_year
        2013, without trouble, a row a flight: `request_id`, `day`, `carrier`, `origin`, `hour`, the READINGS as the
        service received them, `probability` as it answered, and `late`.
    log
        2014, the same columns without `late`.
    labels
        What came later, in the order in which it came: `request_id`, `late`, `known_on`.
    """

    last_year: pd.DataFrame = field(repr=False)
    log: pd.DataFrame = field(repr=False)
    labels: pd.DataFrame = field(repr=False)


def draw_year(name: str) -> LogYear:
    """The year of a name: the same for the same name, however it is written in capitals."""
    return make_year(seed_of(name))


def seed_of(name: str) -> int:
    return zlib.crc32(" ".join(str(name).split()).casefold().encode())


def make_year(seed: int, quiet: bool = False) -> LogYear:
    """The year of a seed; a quiet one has no trouble."""
    rng = np.random.default_rng([seed, 6])
    last_year, late = _calm(rng, 2013)
    last_year = last_year.assign(probability=chance(last_year).round(4), late=late)
    troubles = [] if quiet else plan(seed)
    log, late = _troubled(rng, troubles)
    return LogYear(_numbered(last_year), log, _labels(rng, log, late))


def plan(seed: int) -> list[Trouble]:
    """What goes wrong in the year of a seed: four things in four months. At least one month that is hot or cold
    and one that is neither are left alone."""
    rng = np.random.default_rng([seed, 7])
    while True:
        months = rng.permutation(np.arange(1, 13))[:4].tolist()
        if not {2, 7, 8} <= set(months) and not {4, 10, 11} <= set(months):
            break
    first = [date(2014, month, int(rng.integers(4, 16))) for month in months]
    unit = str(rng.choice(list(_UNITS)))
    missing = str(rng.choice([name for name in READINGS if name != unit]))
    origin, changed = rng.choice(ORIGINS, 2).tolist()
    who = str(rng.choice(["evening", "UA", "B6", "EV"]))
    moved = "flights after 17:00" if who == "evening" else f"flights of {who}"
    return [
        Trouble("data fault", "unit", first[0], f"{unit} came in another unit", unit),
        Trouble("data fault", "missing", first[1], f"{missing} was missing at {origin}", missing, origin),
        Trouble("concept drift", "concept", first[2], f"flights from {changed} were late far more often", "", changed),
        Trouble("behaviour change", "mix", first[3], f"many more {moved} were asked about", who),
    ]


def chance(table: pd.DataFrame) -> NDArray[np.float64]:
    """The chance of being late that a flight's columns say; a missing reading counts as a usual one.

    The service's model knows this function exactly. It is calibrated as long as the readings are right and the
    world is as it was.
    """
    logit = -1.4 + 0.1 * (table["hour"].to_numpy(float) - 13)
    for name, (centre, width, weight) in _STEPS.items():
        logit = logit + weight * np.nan_to_num((table[name].to_numpy(float) - centre) / width)
    for name, weights in (("carrier", _CARRIERS), ("origin", _ORIGINS)):
        logit = logit + table[name].map(weights).fillna(0.0).to_numpy(float)
    return 1 / (1 + np.exp(-logit))


@cache
def _days() -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """All flights in the order of their days; where each of the 365 days begins, and how many it has."""
    flights = all_flights()
    day = flights["departure"].dt.dayofyear.to_numpy() - 1
    order = np.argsort(day, kind="stable")
    table = flights[["carrier", "origin", *READINGS]].iloc[order]
    table.insert(2, "hour", flights["departure"].dt.hour.iloc[order].astype(np.int64))
    counts = np.bincount(day, minlength=365)
    return table.reset_index(drop=True), np.cumsum(counts) - counts, counts


def _drawn(rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions in the table of all flights, shape (365, ROWS_A_DAY): each day is a real day of the same month."""
    _, start, count = _days()
    month = pd.date_range("2013-01-01", "2013-12-31").month.to_numpy()
    real = np.concatenate([rng.choice(np.flatnonzero(month == m), (month == m).sum()) for m in range(1, 13)])
    spread = rng.random((365, ROWS_A_DAY))
    return start[real][:, None] + (spread * count[real][:, None]).astype(np.int64)


def _table(rows: NDArray[np.int64], year: int) -> pd.DataFrame:
    table = _days()[0].iloc[rows.ravel()].reset_index(drop=True)
    table.insert(0, "day", np.repeat(pd.date_range(f"{year}-01-01", f"{year}-12-31"), rows.shape[1]))
    return table


def _calm(rng: np.random.Generator, year: int) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    table = _table(_drawn(rng), year)
    return table, rng.random(len(table)) < chance(table)


def _troubled(rng: np.random.Generator, troubles: list[Trouble]) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    rows = _drawn(rng)
    for trouble in troubles:
        if trouble.kind == "mix":
            _move(rng, rows, trouble)
    table = _table(rows, 2014)
    true = chance(table)
    for trouble in troubles:
        hit = _hit(table, trouble)
        if trouble.kind == "concept":
            true = np.where(hit & (table["origin"] == trouble.origin), 0.55 + 0.4 * true, true)
        elif trouble.kind == "unit":
            offset, factor = _UNITS[trouble.target]
            reading = table[trouble.target]
            table[trouble.target] = reading.where(~hit, ((reading + offset) * factor).astype(reading.dtype))
        elif trouble.kind == "missing":
            table[trouble.target] = table[trouble.target].mask(hit & (table["origin"] == trouble.origin))
    late = rng.random(len(table)) < true
    table["probability"] = chance(table).round(4)
    return _numbered(table), late


def _hit(table: pd.DataFrame, trouble: Trouble) -> pd.Series:
    day = table["day"]
    return (day >= pd.Timestamp(trouble.first)) & (day.dt.month == trouble.first.month)


def _move(rng: np.random.Generator, rows: NDArray[np.int64], trouble: Trouble) -> None:
    """Put flights of the same real day in place of three in five: those of a carrier, or of the evening."""
    table, start, count = _days()
    first = trouble.first.timetuple().tm_yday - 1
    months = pd.date_range("2014-01-01", "2014-12-31").month
    for day in range(first, 365):
        if months[day] != trouble.first.month:
            break
        place = int(np.searchsorted(start, rows[day, 0], side="right")) - 1
        same = table.iloc[start[place] : start[place] + count[place]]
        wanted = same["hour"] >= 17 if trouble.target == "evening" else same["carrier"] == trouble.target
        there = start[place] + np.flatnonzero(wanted.to_numpy())
        moved = rng.random(ROWS_A_DAY) < 0.6
        if len(there):  # on a day of storm there may be none
            rows[day, moved] = rng.choice(there, int(moved.sum()))


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    days = pd.date_range(table["day"].iloc[0], table["day"].iloc[-1]).strftime("%Y%m%d")
    table.insert(0, "request_id", [f"{day}-{place:02}" for day in days for place in range(ROWS_A_DAY)])
    return table


def _labels(rng: np.random.Generator, log: pd.DataFrame, late: NDArray[np.bool_]) -> pd.DataFrame:
    """Labels as they come: late flights' labels later than others', some never, some twice, some corrected, and
    some of flights that nobody asked about."""
    wait = 1 + np.minimum(rng.exponential(np.where(late, 7, 2.5)), 24).astype(int)
    table = pd.DataFrame({"request_id": log["request_id"], "late": late})
    table["known_on"] = log["day"] + pd.to_timedelta(wait, unit="D")
    came = table[rng.random(len(table)) >= 0.05]
    twice = came.sample(frac=0.03, random_state=int(rng.integers(2**31)))
    twice = twice.assign(known_on=twice["known_on"] + pd.to_timedelta(rng.integers(0, 4, len(twice)), unit="D"))
    wrong = came.sample(frac=0.02, random_state=int(rng.integers(2**31)))
    # A first word that is taken back: it comes before the true one, or on the same day ahead of it.
    wrong = wrong.assign(late=~wrong["late"], known_on=wrong["known_on"] - pd.Timedelta(days=1))
    strange = came.sample(frac=0.01, random_state=int(rng.integers(2**31)))
    strange = strange.assign(request_id="X" + strange["request_id"])
    every = pd.concat([wrong, came, twice, strange])
    return every.sort_values("known_on", kind="stable", ignore_index=True)


def plain_log(table: pd.DataFrame) -> dict[str, Any]:
    """A table as plain columns, texts as numbers into a list of their values: small enough to travel."""
    plain: dict[str, Any] = {}
    for name, column in table.items():
        if column.dtype.kind == "M":
            plain[str(name)] = {"days": column.to_numpy().astype("datetime64[D]").astype(np.int64)}
        elif column.dtype.kind == "O":
            codes, values = pd.factorize(column)
            plain[str(name)] = {"codes": codes.astype(np.int32), "values": values.tolist()}
        else:
            plain[str(name)] = column.to_numpy()
    return plain


def as_log(columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table that `plain_log` took apart."""
    table = {}
    for name, column in columns.items():
        if isinstance(column, Mapping) and "days" in column:
            table[name] = np.asarray(column["days"]).astype("datetime64[D]").astype("datetime64[ns]")
        elif isinstance(column, Mapping):
            table[name] = np.asarray(column["values"], dtype=object)[column["codes"]]
        else:
            table[name] = column
    return pd.DataFrame(table)


def with_index(table: pd.DataFrame, index: list[int]) -> pd.DataFrame:
    """The same rows in the same order under other numbers."""
    return table.set_axis(index, axis=0)
