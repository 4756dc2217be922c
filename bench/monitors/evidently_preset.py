"""Evidently's DataDriftPreset at its defaults, on a week against the reference."""

from __future__ import annotations

import warnings

from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount
from evidently.presets import DataDriftPreset

from bench.monitors.alarms import QUIET, Names
from bench.monitors.days import Days, Rows
from bench.monitors.years import Window, Year
from flight_delays.features import CATEGORIES, NUMBERS

SAMPLE = 10_000  # rows of the reference; in eight weeks tried all of them gave the same share, in three times the time
DATASET: Names = frozenset({"dataset drift"})
DEFINITION = DataDefinition(categorical_columns=list(CATEGORIES), numerical_columns=[*NUMBERS, "prediction"])


class EvidentlyPreset:
    """In alarm when the share of columns that drifted is half or more, which fails the preset's own test.

    Each week asks for the preset's first metric alone, which holds the verdict: the others would
    draw every column.
    """

    def __init__(self, days: Days, year: Year) -> None:
        self._days, self._vocabulary = days, days.load().vocabulary
        table = days.frame(year.reference_rows(days), self._vocabulary)
        self._reference = self._dataset(table.sample(min(SAMPLE, len(table)), random_state=0))
        self._judged: dict[Window, Names] = {}

    def judge(self, window: Window) -> Names:
        if window not in self._judged:
            self._judged[window] = DATASET if self.share(window.rows(self._days)) >= 0.5 else QUIET
        return self._judged[window]

    def share(self, rows: Rows, whole: bool = False) -> float:
        """Of the columns, how many drifted; `whole` runs the preset with all its metrics."""
        current = self._dataset(self._days.frame(rows, self._vocabulary))
        with warnings.catch_warnings():  # of columns that are constant in a week
            warnings.simplefilter("ignore")
            run = Report([DataDriftPreset() if whole else DriftedColumnsCount()]).run(current, self._reference)
        return float(run.dict()["metrics"][0]["value"]["share"])

    @staticmethod
    def _dataset(table) -> Dataset:
        return Dataset.from_pandas(table.drop(columns="late"), data_definition=DEFINITION)
