"""Which day a logged flight belongs to: that of the request, or one written in the request id.

A service in production judges by the clock. A replay sends a year within minutes, so its request
ids begin with the day of the flight, `20130701-0600-...`, and the day is read from there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from flight_delays.prediction_log import LogChunk

Times = NDArray[np.datetime64]
"""Shape (rows,), datetime64[s]."""

TimeOf = Callable[[LogChunk], Times]

ID_FORMAT = "%Y%m%d-%H%M"
OWN = ("smoke-", "monitor-")
"""How the request ids of the pipeline's own questions begin; their flights belong to no day."""

_LENGTH = len("20130701-0600")
_DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]


def by_clock(chunk: LogChunk) -> Times:
    """The moment of the request, UTC."""
    return chunk.received_at.astype(np.int64).astype("datetime64[s]")


def by_request_id(chunk: LogChunk) -> Times:
    """The moment written at the beginning of the request id, as `ID_FORMAT` says.

    It is NaT for the questions of the pipeline's smoke test and of its stage `monitor`.

    Raises:
        ValueError: a request id begins neither so nor as those do.
    """
    if not len(chunk):
        return np.empty(0, "datetime64[s]")
    begin = np.ascontiguousarray(chunk.request_id.astype(f"U{_LENGTH}"))
    letters = begin.view(np.uint32).reshape(len(begin), _LENGTH)
    digits = letters[:, _DIGITS].astype(np.int64) - ord("0")
    wrong = ((digits < 0) | (digits > 9)).any(axis=1) | (letters[:, 8] != ord("-"))
    numbers = digits @ _PLACES
    year, month, day, hour, minute = numbers.T
    wrong |= (month < 1) | (month > 12) | (day < 1) | (day > 31) | (hour > 23) | (minute > 59)
    own = np.zeros(len(begin), bool)
    for prefix in OWN if wrong.any() else ():
        own |= np.char.startswith(begin, prefix)
    if (wrong & ~own).any():
        found = chunk.request_id[int(np.argmax(wrong & ~own))]
        raise ValueError(
            f"request id {found!r}: expected one that begins with the day and the time of the "
            f"flight, like 20130701-0600; by_clock judges by the time of the request instead"
        )
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    times = days.astype("datetime64[s]") + (hour * 3600 + minute * 60)
    times[own] = np.datetime64("NaT")
    return times


def bounds(
    first: date | None, last: date | None, time_of: TimeOf
) -> tuple[float | None, float | None]:
    """Where a log may be searched for the days from `first` to `last`, both included.

    Returns:
        Seconds since 1970, UTC: at or after the first and before the second. None for no bound, as
        where the day does not follow from the time of the request.
    """
    if time_of is not by_clock:
        return None, None
    return (
        None if first is None else _seconds(first),
        None if last is None else _seconds(last + timedelta(days=1)),
    )


def _seconds(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def day_of(times: Times) -> NDArray[np.datetime64]:
    """The day of each time, datetime64[D]."""
    return times.astype("datetime64[D]")


def as_day(day: date) -> np.datetime64:
    """A date as NumPy has it, datetime64[D]."""
    return np.datetime64(day, "D")


def _places() -> NDArray[np.int64]:
    """The decimal places of the twelve digits in year, month, day, hour and minute."""
    places = np.zeros((12, 5), np.int64)
    at = 0
    for column, width in enumerate((4, 2, 2, 2, 2)):
        places[at : at + width, column] = 10 ** np.arange(width)[::-1]
        at += width
    return places


_PLACES = _places()
