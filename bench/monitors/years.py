"""Years in which nothing drifts, by construction, until something is injected on a seeded day.

The service runs through July to December with the model of January to June. From these 26 weeks,
Monday to Sunday, a reference of 26 weeks and a year of 52 are drawn with replacement, in blocks of
two weeks that followed one another: storms, weather and weekdays stay together. Reference and year
come from the same weeks, so whatever differs between them is luck. An alarm there is a false one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from bench.monitors.days import FIRST_LAG, LAST_LAG, NONE, Days, Rows

WEEK = 7
POOL = (date(2013, 7, 1), 26)  # a Monday, and weeks
BLOCK = 2
REFERENCE_WEEKS, YEAR_WEEKS = 26, 52
FROM, BEFORE = 70, 182  # the day of an injection: both monitors that need days to begin and slow ones have time
FOLLOWED = 182  # days after an injection; later is never
DATED = date(2014, 1, 6)  # the first day of a drawn reference, a Monday; its year follows it


@dataclass(frozen=True)
class Window:
    """Seven days from Monday to Sunday, from one of them on with an injection."""

    monday: int  # number of a day
    injection: str = NONE
    since: int = 0  # the first day with the injection, 0 is Monday

    def rows(self, days: Days) -> Rows:
        parts = [
            days.variants[self.injection if day >= self.since else NONE].day(self.monday + day) for day in range(WEEK)
        ]
        return Rows.together(parts)


@dataclass(frozen=True)
class Labels:
    """What became of earlier flights, as it gets known on one day; arrays of shape (flights,)."""

    day: np.ndarray  # of the flight, datetime64[D]
    matrix: np.ndarray
    probabilities: np.ndarray
    late: np.ndarray


@dataclass(frozen=True)
class Year:
    """A reference and the days after it, as numbers of days that were.

    Attributes
    ----------
    reference, course : in whole weeks from Monday on
    first : the date of the first day of the reference; one day follows the other, through the course
    injected_on : position in `course`
    injection : its name
    """

    reference: tuple[int, ...]
    course: tuple[int, ...]
    first: date = DATED
    injected_on: int = 0
    injection: str = NONE

    def __len__(self) -> int:
        return len(self.course)

    def date_of(self, position: int) -> date:
        return self.first + timedelta(days=len(self.reference) + position)

    def with_injection(self, name: str) -> Year:
        return Year(self.reference, self.course, self.first, self.injected_on, name)

    def rows(self, days: Days, position: int) -> Rows:
        name = self.injection if position >= self.injected_on else NONE
        return days.variants[name].day(self.course[position])

    def labels(self, days: Days, position: int) -> Labels:
        """The labels that arrive on a day of the course, oldest flights first."""
        parts = [(position - lag, lag) for lag in range(LAST_LAG, FIRST_LAG - 1, -1) if position >= lag]
        came = [(at, rows[rows.lag == lag]) for at, lag in parts for rows in [self.rows(days, at)]]
        if not came:
            nothing = self.rows(days, 0)[:0]
            return Labels(np.empty(0, "datetime64[D]"), nothing.matrix, nothing.probabilities, nothing.late)
        day = np.repeat(np.array([self.date_of(at) for at, _ in came], "datetime64[D]"), [len(r) for _, r in came])
        rows = Rows.together([rows for _, rows in came])
        return Labels(day, rows.matrix, rows.probabilities, rows.late)

    def window(self, week: int) -> Window:
        """A week of the course, counted from 0."""
        monday, since = self.course[week * WEEK], self.injected_on - week * WEEK
        if self.injection == NONE or since >= WEEK:
            return Window(monday)
        return Window(monday, self.injection, max(since, 0))

    def windows(self) -> list[Window]:
        return [self.window(week) for week in range(len(self) // WEEK)]

    def reference_rows(self, days: Days) -> Rows:
        return Rows.together([days.variants[NONE].day(number) for number in self.reference])


def drawn_years(days: Days, reference: int, years: int, seed: int) -> Iterator[Year]:
    """Years that share a reference, each with the day of its injection.

    `reference` counts the references of a run; with the `seed` it decides everything that is drawn.
    """
    rng = np.random.default_rng([seed, reference])
    monday = (POOL[0] - days.first).days
    drawn = _draw(rng, monday, REFERENCE_WEEKS)
    for _ in range(years):
        yield Year(drawn, _draw(rng, monday, YEAR_WEEKS), injected_on=int(rng.integers(FROM, BEFORE)))


def real_year(days: Days) -> Year:
    """January to June as the reference, July to December as it was."""
    first, last = (date(2013, 1, 7) - days.first).days, (POOL[0] - days.first).days
    return Year(
        tuple(range(first, last)),
        tuple(range(last, last + POOL[1] * WEEK)),
        date(2013, 1, 7),
        injected_on=POOL[1] * WEEK,
    )


def _draw(rng: np.random.Generator, monday: int, weeks: int) -> tuple[int, ...]:
    first = rng.integers(POOL[1] - BLOCK + 1, size=-(-weeks // BLOCK))
    chosen = [week for block in first for week in range(block, block + BLOCK)][:weeks]
    return tuple(monday + week * WEEK + day for week in chosen for day in range(WEEK))
