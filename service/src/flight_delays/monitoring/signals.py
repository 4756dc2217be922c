"""The figures that drift and quality judge, for one window or for many at once.

A window is some days in a row. All is made of the counts by day of a `Summary`, so a window of any
length costs a sum of counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import CATEGORIES, NAMES
from flight_delays.monitoring.bins import CHECKED, Bins, Counts
from flight_delays.monitoring.distances import psi
from flight_delays.monitoring.summary import UNTOLD, Summary

LENGTHS = (1, 7)
"""Days of the windows that drift is judged on. Longer windows are held against the limits of a
week: half a year holds too few months to learn what one may bring."""

USUAL = 2 / 3
"""A day with fewer flights than this share of the median of its week is not usual: the airports
were closed, and whatever flew says nothing of drift. It is left out where a day is judged alone."""

FEWEST_ROWS = 50
"""A day with fewer flights is judged by their number only: shares of so few say nothing."""

FAULT_LENGTHS = (1, 3)
"""Days of the windows that faults are judged on. Three find a fault of few flights a day, and on
one calm day, with few flights, an airport's temperature may well keep a single value."""

FAULT_KINDS = ("missing", "strange", "new", "distinct")
"""Of single features."""

ROW_FAULTS = ("impossible", "repeated")
"""Of whole rows, in a table of one column."""

Table = NDArray[np.float64]
"""Shape (windows, checks)."""


def trailing(counts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Sums over each `length` entries in a row.

    Args:
        counts: shape (days, ...).

    Returns:
        Shape (days - length + 1, ...); without entries if there are fewer days.
    """
    if len(counts) < length:
        return counts[:0]
    return np.lib.stride_tricks.sliding_window_view(counts, length, axis=0).sum(axis=-1)


def psi_table(windows: Counts, expected: Counts) -> Table:
    """The PSI of each window from what is expected, columns in the order of `CHECKED`.

    Args:
        windows: name to counts of shape (windows, buckets).
        expected: name to counts of shape (buckets,), or one for each window.
    """
    return np.stack([np.atleast_1d(psi(expected[n], windows[n])) for n in CHECKED], axis=1)


def window_psi(summary: Summary, expected: Counts, length: int) -> Table:
    """The PSI of each window of so many days in a row; 0 for a day alone that is not usual."""
    windows = {name: trailing(counts, length) for name, counts in summary.counts.items()}
    return _of_usual_days(psi_table(windows, expected), summary, length)


def psi_without(summary: Summary, length: int) -> Table:
    """The PSI of each window of the reference from the rest of the reference.

    A window is not compared with itself: what a later one will be compared with does not hold it.
    """
    windows = {name: trailing(counts, length) for name, counts in summary.counts.items()}
    total = summary.total()
    rest = {name: total[name] - counts for name, counts in windows.items()}
    return _of_usual_days(psi_table(windows, rest), summary, length)


def usual_days(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which days have about as many flights as the week that ends with them, shape (days,)."""
    if not len(rows):
        return np.empty(0, bool)
    before = np.concatenate([np.full(6, np.nan), rows])
    weeks = np.lib.stride_tricks.sliding_window_view(before, 7)
    return rows >= USUAL * np.nanmedian(weeks, axis=1)


def _of_usual_days(values: Table, summary: Summary, length: int) -> Table:
    if length == 1:
        values[~usual_days(summary.rows)] = 0
    return values


def quality_signals(summary: Summary, bins: Bins, length: int = 1) -> dict[str, Table]:
    """Shares that tell of faults in the data, of windows that end on each day.

    Args:
        length: days of a window.

    Returns:
        Shape (days, features), NaN where there are too few days or flights or the share has no
        meaning: `missing`; `strange`, an unknown category or a number far outside the reference;
        `new` and `distinct`, see `Summary`, the latter added up over the days. And of shape
        (days, 1) the `ROW_FAULTS`.
    """
    daily = np.where(summary.rows >= FEWEST_ROWS, summary.rows, np.nan)
    rows = _ending(daily[:, None], length)
    none = np.full(len(summary), np.nan)
    columns: dict[str, list[NDArray[Any]]] = {kind: [] for kind in FAULT_KINDS}
    for name in NAMES:
        scale, counts = bins[name], summary.counts[name]
        columns["missing"].append(counts[:, scale.missing])
        columns["strange"].append(counts[:, list(scale.strange)].sum(axis=1))
        columns["new"].append(summary.new.get(name, none))
        distinct = summary.distinct.get(name, none)
        told = (distinct != UNTOLD) & (summary.rows >= FEWEST_ROWS)
        columns["distinct"].append(np.where(told, distinct, np.nan))
    sums = {kind: _ending(np.stack(values, axis=1), length) for kind, values in columns.items()}
    found = {kind: table if kind == "distinct" else table / rows for kind, table in sums.items()}
    whole = {kind: getattr(summary, kind)[:, None] for kind in ROW_FAULTS}
    return found | {kind: _ending(counts, length) / rows for kind, counts in whole.items()}


def shares_of(counts: Counts, summary: Summary, length: int) -> Table:
    """The same as shares of flights, for counts by day of some features; shape (days, features)."""
    rows = np.where(summary.rows >= FEWEST_ROWS, summary.rows, np.nan)[:, None]
    none = np.full(len(summary), np.nan)
    table = np.stack([counts.get(name, none) for name in NAMES], axis=1)
    return _ending(table, length) / _ending(rows, length)


def _ending(values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Sums over the days that end on each day, NaN for the first ones; shape (days, columns)."""
    result = np.full(values.shape, np.nan)
    result[length - 1 :] = trailing(values, length)
    return result


def is_category(name: str) -> bool:
    """Whether a check is about a category: its buckets have no order."""
    return name in CATEGORIES
