"""The default monitor of flight_delays.monitoring."""

from __future__ import annotations

from datetime import date, timedelta

from bench.monitors.alarms import Names
from bench.monitors.days import Days, Rows
from bench.monitors.watching import copied
from bench.monitors.years import Labels, Year
from flight_delays.monitoring.monitor import Monitor
from flight_delays.monitoring.reference import make_reference


class Ours:
    """An alarm is one of the monitor's kinds, whatever failed in it."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    @classmethod
    def fit(cls, days: Days, year: Year) -> Ours:
        """Learn the reference of a year, as `monitoring reference` does."""
        table = days.table(year.reference, year.first)
        last = year.first + timedelta(days=len(year.reference) - 1)
        return cls(Monitor(make_reference(days.load(), table, year.first, last)))

    def day(self, day: date, rows: Rows, labels: Labels) -> Names:
        alarms = self._monitor.day(day, rows.matrix, rows.probabilities, labels)
        return frozenset(alarm.kind for alarm in alarms)

    def copy(self) -> Ours:
        """What was learned from the reference is shared: it never changes."""
        monitor = self._monitor
        return copied(self, monitor.reference, monitor._decay, monitor._expected, monitor._vocabulary)
