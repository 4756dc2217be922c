"""What the cells of lab 06 do with the learner's functions: weeks compared, months judged, alarms priced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lessonkit import style
from lessonkit.log_year import READINGS, LogYear

CHECKS = (*READINGS, "hour", "carrier")
WINDOW_DAYS, RIPE_SHARE = 42, 0.85

Numbers = NDArray[np.float64]


def week_figures(year: LogYear, psi: Callable[..., float]) -> tuple[Numbers, pd.DataFrame]:
    """PSI of each week: of last year against the rest of its month, and of the log against that month.

    Parameters
    ----------
    psi
        From two samples and the inner edges of bins to a number.

    Returns
    -------
    quiet
        Shape (48, 5), a week of last year and a check.
    found
        The same of the log, with the index (month, week) and the checks as columns.
    """
    names = sorted(year.last_year["carrier"].unique())
    edges = {name: np.unique(np.nanquantile(year.last_year[name], np.arange(0.1, 1, 0.1))) for name in READINGS}
    edges |= {"hour": np.arange(7, 22, 3), "carrier": np.arange(1, len(names)) - 0.5}

    def weeks_of(table: pd.DataFrame) -> pd.DataFrame:
        day = table["day"].dt
        codes = pd.Categorical(table["carrier"], names).codes
        return table.assign(carrier=codes, month=day.month, week=((day.day - 1) // 7).clip(upper=3))

    def figures(reference: pd.DataFrame, current: pd.DataFrame) -> list[float]:
        return [psi(reference[name], current[name], edges[name]) for name in CHECKS]

    calm = weeks_of(year.last_year)
    quiet, found = [], {}
    for (month, week), now in weeks_of(year.log).groupby(["month", "week"]):
        then = calm[calm["month"] == month]
        quiet.append(figures(then[then["week"] != week], then[then["week"] == week]))
        found[month, week] = figures(then, now)
    return np.array(quiet), pd.DataFrame(found, index=CHECKS).T


def month_ends(
    year: LogYear,
    case: Mapping[int, tuple[str, str | None]],
    known_labels: Callable[..., Numbers],
    ripe_days: Callable[..., list[str]],
    training_days: Callable[..., list[str]],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The evidence at the end of each month: the last six weeks, with the labels that were there then.

    Parameters
    ----------
    case
        For each month the cause and its first day; the days of a data fault are left out from then on.
    known_labels, ripe_days, training_days
        The learner's.

    Yields
    ------
    The month, and `faults`, `drift`, `rows`, `ripe_days` and `decay`, an interval of two standard errors around
    what the loss of the ripe days is above its estimate.
    """
    every_day = year.log["day"].dt.strftime("%Y-%m-%d")
    quarantined = []
    for month, (cause, since) in case.items():
        end = pd.Timestamp(2014, month, 1) + pd.offsets.MonthEnd()
        if cause == "data fault":
            quarantined.append((since, str(end.date())))
        first = end - pd.Timedelta(days=WINDOW_DAYS - 1)
        days = [str(day.date()) for day in pd.date_range(first, end)]
        window = year.log[every_day.isin(training_days(days, quarantined, None, days[-1]))]
        late = known_labels(window, year.labels, days[-1])
        day = every_day[window.index]
        ripe = (day.isin(ripe_days(window, late, RIPE_SHARE)) & ~np.isnan(late)).to_numpy()
        p = window["probability"].to_numpy()[ripe]
        # Realized less estimated loss of each flight.
        more = (late[ripe] - p) * np.log((1 - p) / p)
        error = more.std() / np.sqrt(len(more))
        yield (
            month,
            {
                "faults": [f"data fault since {since}"] if cause == "data fault" else [],
                "drift": ["who asks"] if cause == "behaviour change" else [],
                "rows": len(window),
                "ripe_days": day[ripe].nunique(),
                "decay": (more.mean() - 2 * error, more.mean() + 2 * error),
            },
        )


def outcome(quiet: Numbers, drifted: Numbers, start: int, length: int, limit: float) -> tuple[float, float]:
    """False alarms a year, and days until a drift is seen, of a limit for the mean of some days.

    Parameters
    ----------
    quiet, drifted
        A figure a day, shape (years, days) and (runs, days); the runs drift from the day `start` on.
    """

    def mean(series: Numbers) -> Numbers:
        return pd.DataFrame(series.T).rolling(length).mean().to_numpy().T

    calm, moving = mean(quiet), mean(drifted)
    over = moving[:, start:] > limit
    seen = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1])
    return (calm > limit).sum() / len(quiet), float(seen.mean())


def draw_prices(
    quiet: Numbers, drifted: Numbers, start: int, chosen: Mapping[float, tuple[int, float]], title: str
) -> None:
    """What is to be had by three windows, a line each, and what was chosen at each price of an alarm."""
    _, axes = plt.subplots(figsize=(7, 3.2))
    for length in (1, 4, 14):
        curve = np.array([outcome(quiet, drifted, start, length, limit) for limit in np.linspace(0.3, 0.6, 61)])
        axes.plot(*curve[curve[:, 0] > 0].T, label=f"mean of {length} day{'s' if length > 1 else ''}")
    for price, (length, limit) in chosen.items():
        point = outcome(quiet, drifted, start, length, limit)
        axes.plot(*point, "ko")
        axes.annotate(f"  alarm at {price}", point, fontsize=9, va="bottom")
    axes.set(xscale="log", ylim=(-1, 30), xlabel="false alarms a year", ylabel="days until seen", title=title)
    style.plain_numbers(axes.xaxis)
    axes.legend()
    plt.show()
