"""What one part of the gate hands over, and what challenger and champion said about the window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle
from flight_delays.features import Columns
from flight_delays.flights import columns_of
from flight_delays.pipeline.bootstrap import Days, Interval
from flight_delays.pipeline.findings import Finding, Findings

Figures = dict[str, float | Interval]


@dataclass(frozen=True)
class Part:
    """The findings of one part of the gate, and its figures by name."""

    findings: Findings = field(default_factory=Findings)
    figures: Figures = field(default_factory=dict)

    def __add__(self, other: Part) -> Part:
        return Part(self.findings + other.findings, self.figures | other.figures)

    @classmethod
    def of(cls, findings: Iterable[Finding], **figures: float | Interval) -> Self:
        return cls(Findings(findings), figures)


@dataclass(frozen=True)
class Answers:
    """What one bundle says about each flight of the window.

    Attributes:
        probability: shape (flights,), float64.
        warned: shape (flights,), bool, whether the bundle's own threshold is reached.
    """

    probability: NDArray[np.float64]
    warned: NDArray[np.bool_]

    @classmethod
    def ask(cls, bundle: Bundle, columns: Columns) -> Self:
        """Predict. The threshold is met by the float32 that the service sees, not by its copy."""
        probability = bundle.predict(columns)
        return cls(probability.astype(float), probability >= bundle.info.threshold)


@dataclass(frozen=True)
class Trial:
    """The newest flights, and the answers of challenger and champion to them.

    Attributes:
        window: table from `flights.load_flights`.
        late: shape (flights,), bool.
        days: the draws of days that all scores share.
        champion: None when there is none yet.
    """

    window: pd.DataFrame
    late: NDArray[np.bool_]
    days: Days
    challenger: Answers
    champion: Answers | None

    @classmethod
    def hold(
        cls, challenger: Bundle, champion: Bundle | None, window: pd.DataFrame, seed: int
    ) -> Self:
        columns = columns_of(window)
        return cls(
            window,
            window["late"].to_numpy(),
            Days.draw(window["departure"].dt.floor("D"), seed=seed),
            Answers.ask(challenger, columns),
            Answers.ask(champion, columns) if champion else None,
        )

    def of(self, rows: NDArray[np.bool_]) -> Trial:
        """The same trial on some of its flights, with the same draws of days."""
        days = Days(self.days.of_row[rows], self.days.count, self.days.weights)
        answers = [
            side and Answers(side.probability[rows], side.warned[rows])
            for side in (self.challenger, self.champion)
        ]
        return Trial(self.window[rows], self.late[rows], days, *answers)


def bounded(group: str, check: str, passed: bool, found: str, limit: str, reason: str) -> Finding:
    """Make a finding; the reason is kept for a failure."""
    return Finding(check, bool(passed), found, limit, "" if passed else reason, group)
