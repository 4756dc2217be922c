"""Lead a monitor through a year, day by day, with and without the injections."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from bench.monitors.alarms import QUIET, Names, first_raised, raised
from bench.monitors.days import Days, Rows
from bench.monitors.years import FOLLOWED, WEEK, Labels, Window, Year


class Daily(Protocol):
    """A monitor that is told of each day: its flights, and the labels that came."""

    def day(self, day: date, rows: Rows, labels: Labels) -> Names:
        """The alarms in force after this day."""
        ...

    def copy(self) -> Daily:
        """Another one in the same state."""
        ...


class Weekly(Protocol):
    """A monitor that judges whole weeks, whatever came before them."""

    def judge(self, window: Window) -> Names:
        """The alarms that a week raises; they stay in force until the next one is judged."""
        ...


@dataclass
class Watched:
    """What a monitor said in one year."""

    false_alarms: list[int]  # days on which an alarm was raised, without injection
    days: int  # without injection
    in_alarm: int  # of these
    chance: int | None  # days from the injection's day to the first alarm, without injection
    delays: dict[str, int | None] = field(default_factory=dict)  # injection to days, None for never


def watch_daily(monitor: Daily, days: Days, year: Year, injections: Iterable[str]) -> Watched:
    """Through the year without injection, and from the injection's day on once with each."""
    alarms, at = [], None
    for position in range(len(year)):
        if position == year.injected_on:
            at = monitor.copy()
        alarms.append(monitor.day(year.date_of(position), year.rows(days, position), year.labels(days, position)))
    told = _watched(alarms, year)
    for name in injections:
        changed, one = year.with_injection(name), at.copy()

        def says(position: int, changed: Year = changed, one: Daily = one) -> Names:
            return one.day(changed.date_of(position), changed.rows(days, position), changed.labels(days, position))

        told.delays[name] = _delay(says, year, alarms)
    return told


def watch_weekly(monitor: Weekly, year: Year, injections: Iterable[str]) -> Watched:
    """The same for a monitor of weeks: each speaks on the evening of Sunday."""

    def says(position: int, of: Year) -> Names:
        judged = (position + 1) // WEEK - 1  # the last week that is over
        return monitor.judge(of.window(judged)) if judged >= 0 else QUIET

    alarms = [says(position, year) for position in range(len(year))]
    told = _watched(alarms, year)
    for name in injections:
        changed = year.with_injection(name)
        told.delays[name] = _delay(lambda position, changed=changed: says(position, changed), year, alarms)
    return told


def _watched(alarms: list[Names], year: Year) -> Watched:
    start = year.injected_on
    before = alarms[start - 1] if start else QUIET
    chance = first_raised(alarms[start : start + FOLLOWED], before)
    return Watched(raised(alarms), len(alarms), sum(map(bool, alarms)), chance)


def _delay(says: Callable[[int], Names], year: Year, alarms: list[Names]) -> int | None:
    """Ask day by day until an alarm is raised."""
    start = year.injected_on
    before = alarms[start - 1] if start else QUIET
    for position in range(start, min(start + FOLLOWED, len(year))):
        names = says(position)
        if names - before:
            return position - start
        before = names
    return None


def copied(monitor: object, *shared: object) -> object:
    """A deep copy that shares what never changes."""
    return copy.deepcopy(monitor, {id(one): one for one in shared})
