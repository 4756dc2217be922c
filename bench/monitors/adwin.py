"""River's ADWIN on the stream of errors, at its defaults."""

from __future__ import annotations

from datetime import date

from river.drift import ADWIN

from bench.monitors.alarms import QUIET, Names
from bench.monitors.days import Rows
from bench.monitors.watching import copied
from bench.monitors.years import Labels

ERROR: Names = frozenset({"error"})


class Adwin:
    """Told of each label as it comes: 1 where the warning was wrong, else 0. A change found is an alarm of its day."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._adwin = ADWIN()

    def day(self, day: date, rows: Rows, labels: Labels) -> Names:
        wrong = (labels.probabilities >= self._threshold) != labels.late
        found = False
        for error in wrong.tolist():
            self._adwin.update(error)
            found |= self._adwin.drift_detected
        return ERROR if found else QUIET

    def copy(self) -> Adwin:
        return copied(self)
