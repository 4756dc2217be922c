"""Draw a year of prediction logs by day, beside the year before."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lessonkit.log_year import READINGS
from lessonkit.style import BLUE, GREY

LABELS = {
    "temperature": "temperature (°F)",
    "wind_speed": "wind (mph)",
    "visibility": "visibility (miles)",
    "missing": "missing (share)",
    "evening": "after 17:00 (share)",
    "carrier": "largest carrier (share)",
    "wrong": "late less predicted",
}


def by_day(table: pd.DataFrame, late: NDArray[np.float64]) -> pd.DataFrame:
    """One row a day, the index is the day of the year from 1: means and shares of all airports together."""
    figures = table[list(READINGS)].assign(
        missing=table[list(READINGS)].isna().any(axis=1).astype(float),
        evening=(table["hour"] >= 17).astype(float),
        wrong=late - table["probability"],
    )
    days = table["day"].dt.dayofyear.rename("day")
    daily = figures.groupby(days).mean()
    shares = pd.crosstab(days, table["carrier"], normalize="index")
    return daily.assign(carrier=shares.max(axis=1))[list(LABELS)]


def draw_by_day(log: pd.DataFrame, last_year: pd.DataFrame, late: NDArray[np.float64]) -> None:
    """A row for each figure: last year faint, this year on top, a line where each month begins.

    Parameters
    ----------
    late
        1, 0 or NaN for each row of the log.
    """
    now, then = by_day(log, late), by_day(last_year, last_year["late"].to_numpy(dtype=float))
    _, axes = plt.subplots(len(LABELS), 1, figsize=(10, 11), sharex=True)
    months = pd.date_range("2014-01-01", "2014-12-01", freq="MS")
    for axis, (name, label) in zip(axes, LABELS.items(), strict=True):
        axis.plot(then.index, then[name], color=GREY, linewidth=1, alpha=0.7, label="last year")
        axis.plot(now.index, now[name], color=BLUE, linewidth=1.2, label="this year")
        for month in months:
            axis.axvline(month.dayofyear, color=GREY, linewidth=0.5, alpha=0.5)
        axis.set_title(label, fontsize=9)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8)
    axes[-1].set_xticks([month.dayofyear + 15 for month in months], [f"{month:%b}" for month in months])
    axes[-1].set_xlabel("2014, a value a day")
    plt.show()
