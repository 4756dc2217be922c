"""What an alarm costs: years without a change, put together from real weeks, and how long a change goes unseen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAYS_A_WEEK, DAYS_A_YEAR = 7, 365


def weeks_again(days: int, years: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw years from a stretch of `days` days, a week at a time, so that a storm of three days stays one.

    Returns
    -------
    Numbers of days, 0 to `days` - 1, shape (years, 365).
    """
    weeks = -(-DAYS_A_YEAR // DAYS_A_WEEK)
    first = rng.integers(0, days - DAYS_A_WEEK + 1, (years, weeks))
    return (first[:, :, None] + np.arange(DAYS_A_WEEK)).reshape(years, -1)[:, :DAYS_A_YEAR]


def moving_mean(values: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """The mean of each `days` days in a row, shape (years, days of the year, ...) to one shorter by `days` - 1."""
    total = np.cumsum(np.insert(values, 0, 0.0, axis=1), axis=1)
    return (total[:, days:] - total[:, :-days]) / days


def cost_curve(calm: NDArray[np.float64], changed: NDArray[np.float64], window: int, limits: int = 80) -> pd.DataFrame:
    """For many limits: how often the alarm goes off for nothing, and how long a change goes unseen.

    An alarm goes off on the day on which the mean over the window first passes the limit. It is counted once, however
    long it stays above.

    Parameters
    ----------
    calm
        One figure a day in years in which nothing changed, shape (years, 365), or (years, 365, figures) for several
        figures of which the one furthest from usual counts, in standard deviations.
    changed
        The same from the day of the change on.
    window
        Days over which the mean is taken.
    limits
        How many limits are tried.

    Returns
    -------
    A row a limit: `limit`, `alarms_a_year`, `days_unseen` (the median; 365 for not seen within a year).
    """
    before = moving_mean(calm, window)
    after = moving_mean(np.concatenate([calm[:, calm.shape[1] - window + 1 :], changed], axis=1), window)
    if calm.ndim == 3:
        usual, spread = before.mean(axis=(0, 1)), before.std(axis=(0, 1))
        before, after = (np.abs((found - usual) / spread).max(axis=2) for found in (before, after))
    rows = []
    for limit in np.quantile(before, 1 - np.geomspace(0.3, 1e-5, limits)):
        begins = (before[:, 1:] > limit) & (before[:, :-1] <= limit)
        alarms = begins.sum(axis=1).mean() * DAYS_A_YEAR / begins.shape[1]
        seen = after > limit
        days = np.where(seen.any(axis=1), seen.argmax(axis=1) + 1, DAYS_A_YEAR)
        rows.append((limit, alarms, float(np.median(days))))
    return pd.DataFrame(rows, columns=["limit", "alarms_a_year", "days_unseen"])


def choose(curve: pd.DataFrame, alarms_a_year: float) -> pd.Series:
    """The lowest limit of a curve that is not passed more often for nothing; the highest where none is low enough."""
    kept = curve[curve["alarms_a_year"] <= alarms_a_year].sort_values("limit")
    return (kept if len(kept) else curve.sort_values("limit", ascending=False)).iloc[0]
