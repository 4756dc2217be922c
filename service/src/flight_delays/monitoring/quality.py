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
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES
from flight_delays.monitoring.signals import quality_signals
from flight_delays.monitoring.summary import Summary
from flight_delays.pipeline.findings import Finding, Findings

if TYPE_CHECKING:
    from flight_delays.monitoring.reference import Reference

GROUP = "quality"
_WHAT = {
    "missing": "missing",
    "strange": "unknown or far outside",
    "new": "values the reference never had",
    "distinct": "different values a day",
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
    "repeated": "Flights come twice: a client that sends again, or a join that multiplies rows. "
    "They count twice in every figure here.",
}


def quality(reference: Reference, window: Summary, *, whole_days: bool = True) -> Findings:
    """Look for faults on each day of a window.

    Args:
        whole_days: whether the last day is over; else its number of flights is not judged.

    Returns:
        One finding a kind of fault, in the group `quality`; the check names the feature and the
        worst day.
    """
    if not len(window):
        return Findings()
    return Findings([*_shares(reference, window), *_volume(reference, window, whole_days)])


def faults(reference: Reference, window: Summary) -> dict[str, NDArray[np.bool_]]:
    """Which features have which fault on which day: kind to shape (days, features).

    `repeated` has one column, and so has `rows`, a day with too few or too many flights.
    """
    limits, found = reference.thresholds, quality_signals(window, reference.bins)
    low, high = limits.rows
    result = {"rows": (found["rows"] < low) | (found["rows"] > high)}
    with np.errstate(invalid="ignore"):
        for kind, limit in limits.faults.items():
            beyond = found[kind] < limit if kind == "distinct" else found[kind] > limit
            result[kind] = beyond
    return result


def _shares(reference: Reference, window: Summary) -> Iterator[Finding]:
    found, beyond = quality_signals(window, reference.bins), faults(reference, window)
    for kind, limit in reference.thresholds.faults.items():
        values = found[kind]
        sign = -1 if kind == "distinct" else 1
        with np.errstate(invalid="ignore"):
            excess = np.nan_to_num(sign * (values - limit), nan=-np.inf)
        day, column = np.unravel_index(int(excess.argmax()), excess.shape)
        if np.isinf(excess[day, column]):
            continue
        wrong = beyond[kind]
        passed = not wrong.any()
        of = "" if kind == "repeated" else f"{NAMES[column]}: "
        where = f"{of}{_write(kind, values[day, column])} on {window.days[day]}"
        if not passed:
            where += _others(kind, wrong, column)
        bound = f"{'>=' if kind == 'distinct' else '<='} {_write(kind, limit[column])}"
        yield Finding(_WHAT[kind], passed, where, bound, "" if passed else _WHY[kind], GROUP)


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


def _others(kind: str, wrong: NDArray[np.bool_], column: int) -> str:
    text = f"; {_days(int(wrong.any(axis=1).sum()))}"
    names = [NAMES[i] for i in np.flatnonzero(wrong.any(axis=0)) if i != column]
    return text + (f", also {', '.join(names)}" if names and kind != "repeated" else "")


def _write(kind: str, value: float) -> str:
    return f"{value:.0f}" if kind == "distinct" else f"{value:.1%}"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def faulty_days(reference: Reference, window: Summary) -> list[date]:
    """The days of the window with a fault of any kind, to be quarantined."""
    wrong = np.zeros(len(window), bool)
    for beyond in faults(reference, window).values():
        wrong |= beyond.any(axis=1)
    return window.days[wrong].astype(object).tolist()
