"""Data quality: is what the service is asked still what it says it is?

A season moves values within what is possible. A fault makes values missing or unknown, puts them
where no flight ever was, stops a sensor, changes a unit, or sends flights twice or not at all. It
must not be met with a new model, which would learn the fault.

A changed unit shows in the values themselves. Instruments report on a grid (whole degrees of the
wind, knots turned into miles per hour), and after a change of unit nearly all values are ones that
the reference never had, though they may lie in the midst of it: 27 degrees is a warm day in Celsius
and a frost in Fahrenheit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES
from flight_delays.monitoring.signals import ROW_FAULTS, quality_signals
from flight_delays.monitoring.summary import Summary
from flight_delays.pipeline.findings import Finding, Findings

if TYPE_CHECKING:
    from flight_delays.monitoring.reference import Reference

GROUP = "quality"
_WHAT = {
    "missing": "missing",
    "strange": "unknown or far outside",
    "new": "values within its range that the reference never had",
    "distinct": "different values at an airport",
    "impossible": "dew point above the temperature",
    "repeated": "flights asked about twice",
}
_WHY = {
    "missing": "The values do not arrive any more. Ask the source; do not train on these days.",
    "strange": "No flight of the reference was there. Look for a new code, a fill value or another "
    "unit; do not train on these days.",
    "new": "Nearly all values are new ones, as after a change of unit or of rounding. Compare "
    "with the source; do not train on these days.",
    "distinct": "The reading stands still, as a broken sensor does. Ask the source; do not train "
    "on these days.",
    "impossible": "Air is never colder than its dew point, so one of the two arrives in another "
    "unit or from another place. Compare with the source; do not train on these days.",
    "repeated": "Flights come twice: a client that sends again, or a join that multiplies rows. "
    "They count twice in every figure here.",
}


def quality(reference: Reference, window: Summary, *, whole_days: bool = True) -> Findings:
    """Look for faults on each day of a window.

    Args:
        whole_days: whether the last day is over; else its number of flights is not judged.

    Returns:
        One finding a kind of fault, in the group `quality`; what was found names the feature and
        the days that come nearest to the limit.
    """
    if not len(window):
        return Findings()
    return Findings([*_shares(reference, window), *_volume(reference, window, whole_days)])


@dataclass(frozen=True)
class Fault:
    """A kind of fault on windows of one length, and the feature and day that come nearest to it.

    Attributes:
        wrong: shape (days, features), which windows that end on each day are beyond the limit.
        found, limit: of the worst.
        worst: position of its day and of its feature.
        nearness: how far along to the limit it is; more than 1 is beyond.
    """

    kind: str
    length: int
    wrong: NDArray[np.bool_]
    found: float
    limit: float
    worst: tuple[int, int]
    nearness: float


def faults(reference: Reference, window: Summary) -> list[Fault]:
    """Every kind of fault on windows of each length, but those of which nothing can be told."""
    result = []
    for length, limits in reference.thresholds.faults.items():
        found = quality_signals(window, reference.bins, length)
        for kind, limit in limits.items():
            values = found[kind]
            with np.errstate(invalid="ignore", divide="ignore"):
                near = limit / values if kind == "distinct" else values / limit
                wrong = values < limit if kind == "distinct" else values > limit
            near = np.nan_to_num(near, nan=-1.0, posinf=np.finfo(float).max)
            if near.size and near.max() >= 0:
                day, column = np.unravel_index(int(near.argmax()), near.shape)
                worst = int(day), int(column)
                result.append(
                    Fault(
                        kind, length, wrong, float(values[worst]), float(limit[column]), worst,
                        float(near[worst]),
                    )
                )  # fmt: skip
    return result


def faulty_days(reference: Reference, window: Summary) -> list[date]:
    """The days of the window with a fault of any kind, to be quarantined.

    A fault of few flights a day shows in no single one, but in several together: then all days of
    that window are counted, unless one of them is faulty by itself and explains it.
    """
    low, high = reference.thresholds.rows
    wrong = (window.rows < low) | (window.rows > high)
    for fault in sorted(faults(reference, window), key=lambda fault: fault.length):
        before = wrong.copy()
        for day in np.flatnonzero(fault.wrong.any(axis=1)):
            days = slice(day - fault.length + 1, day + 1)
            if fault.length == 1 or not before[days].any():
                wrong[days] = True
    return window.days[wrong].astype(object).tolist()


def _shares(reference: Reference, window: Summary) -> Iterator[Finding]:
    every = faults(reference, window)
    for kind, what in _WHAT.items():
        of_kind = [fault for fault in every if fault.kind == kind]
        if not of_kind:
            continue
        worst = max(of_kind, key=lambda fault: fault.nearness)
        passed = not any(fault.wrong.any() for fault in of_kind)
        day, column = worst.worst
        of = "" if kind in ROW_FAULTS else f"{NAMES[column]}: "
        text = f"{of}{_write(kind, worst.found)} {_period(window, day, worst.length)}"
        if not passed:
            text += _others(of_kind, column)
        bound = f"{'>=' if kind == 'distinct' else '<='} {_write(kind, worst.limit)}"
        yield Finding(what, passed, text, bound, "" if passed else _WHY[kind], GROUP)


def _volume(reference: Reference, window: Summary, whole_days: bool) -> Iterator[Finding]:
    low, high = reference.thresholds.rows
    every = np.arange(window.days[0], window.days[-1] + 1)
    rows = np.zeros(len(every), np.int64)
    rows[np.searchsorted(every, window.days)] = window.rows
    if not whole_days:
        every, rows = every[:-1], rows[:-1]
    wrong = (rows < low) | (rows > high)
    if not len(rows):
        return
    worst = int(np.argmax(np.maximum(low / np.maximum(rows, 1), rows / high)))
    passed = not wrong.any()
    text = f"{rows[worst]:,} on {every[worst]}"
    if not passed:
        text += f"; {_days(int(wrong.sum()))}"
    yield Finding(
        "flights a day",
        passed,
        text,
        f"{low:,.0f} to {high:,.0f}",
        ""
        if passed
        else "Not even the emptiest or the busiest day of the reference was near. Look whether a "
        "client stopped, a file came twice, or part of the flights is lost.",
        GROUP,
    )


def _period(window: Summary, day: int, length: int) -> str:
    if length == 1:
        return f"on {window.days[day]}"
    return f"from {window.days[day - length + 1]} to {window.days[day]}"


def _others(faults: list[Fault], column: int) -> str:
    """Which other features have the fault."""
    wrong = np.any([fault.wrong.any(axis=0) for fault in faults], axis=0)
    names = [NAMES[other] for other in np.flatnonzero(wrong) if other != column]
    return f", also {', '.join(names)}" if names else ""


def _write(kind: str, value: float) -> str:
    return f"{value:.0f}" if kind == "distinct" else f"{value:.1%}"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
