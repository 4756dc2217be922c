"""How alarms are counted, the same for every monitor.

After each day a monitor has a set of alarms in force, by name. One is *raised* on a day on which a
name is there that was not there the day before: that is when somebody is called. Alarms raised on
consecutive days are one. An alarm that stays in force calls nobody again, and so it cannot announce
what is injected while it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

Names = frozenset[str]
QUIET: Names = frozenset()


def raised(alarms: Sequence[Names], before: Names = QUIET) -> list[int]:
    """The days, counted from 0, on which an alarm is raised; `before` was in force on the day before the first."""
    found: list[int] = []
    last = None
    for day, names in enumerate(alarms):
        if names - before:
            if last is None or day > last + 1:
                found.append(day)
            last = day
        before = names
    return found


def first_raised(alarms: Sequence[Names], before: Names) -> int | None:
    """Days to the first alarm raised, None for never."""
    return next(iter(raised(alarms, before)), None)


def median_delay(delays: Sequence[int | None]) -> float | None:
    """The median, with a miss as later than any delay; None if that is what the median is."""
    found = median(float("inf") if delay is None else delay for delay in delays)
    return None if found == float("inf") else found
