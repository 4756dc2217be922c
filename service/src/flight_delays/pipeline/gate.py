"""The gate: may a challenger take the champion's place?

`judge` asks many small questions, each with a figure, a limit and, where the answer is no, a
reason. One no is enough: a model that is better on average and broken in one place is broken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from flight_delays.bundle import Bundle
from flight_delays.pipeline import scores
from flight_delays.pipeline.behaviour import behaviour_tests
from flight_delays.pipeline.bootstrap import Interval
from flight_delays.pipeline.findings import Findings
from flight_delays.pipeline.limits import Limits
from flight_delays.pipeline.measured import Part, Trial
from flight_delays.pipeline.slices import slices
from flight_delays.pipeline.speed import Stopwatch, size, speed, take_times


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        challenger, champion: versions; the champion is None when there is none yet.
        findings: every check, in order.
        measures: figures for MLflow, by a name of letters, digits and underscores.
        intervals: low and high of the figures that have an interval, by the same names.
    """

    challenger: str
    champion: str | None
    findings: Findings
    measures: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.findings.passed

    @property
    def reasons(self) -> list[str]:
        return self.findings.reasons

    def to_json(self) -> dict[str, object]:
        """Return everything, ready for `json.dumps`."""
        return {
            "passed": self.passed,
            "challenger": self.challenger,
            "champion": self.champion,
            "reasons": self.reasons,
            "findings": self.findings.to_json(),
            "measures": self.measures,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
        }

    def to_table(self) -> str:
        """Return plain text for a terminal."""
        return f"{self.headline()}\n{self.findings.to_table()}"

    def to_markdown(self) -> str:
        """Return Markdown for a file."""
        return f"# {self.headline()}\n\n{self.findings.to_markdown()}"

    def headline(self) -> str:
        """Say the verdict in one line."""
        against = (
            f"against champion {self.champion}"
            if self.champion
            else "no champion yet, held against the absolute minimum"
        )
        if self.passed:
            return f"{self.challenger}: passed, {len(self.findings)} checks ({against})"
        failed = len(self.findings.failed)
        return f"{self.challenger}: refused, {failed} of {len(self.findings)} checks ({against})"


def judge(
    challenger: Bundle,
    champion: Bundle | None,
    window: pd.DataFrame,
    limits: Limits | None = None,
    seed: int = 0,
    stopwatch: Stopwatch = take_times,
) -> Verdict:
    """Judge a challenger on flights that neither model was trained on.

    Args:
        challenger: the bundle as it will be served.
        champion: the bundle in service; None when there is none yet, then the challenger is held
            against the absolute minimum alone.
        window: the newest flights, table from `flights.load_flights`.
        seed: of every draw. The same seed gives the same verdict, but for the times.
        stopwatch: what takes the times.

    Raises:
        ValueError: the window lacks a column or holds a value outside its feature's range.
    """
    limits = limits or Limits()
    part = scores.window_is_enough(window, limits)
    if part.findings.passed:
        part += scores.is_newer(challenger, champion, window, limits)
        trial = Trial.hold(challenger, champion, window, seed)
        for check in (scores.discrimination, scores.calibration, scores.cost, slices):
            part += check(trial, limits)
        part += Part(behaviour_tests(challenger, window, limits.behaviour, seed))
        part += speed(challenger, champion, window, limits, seed, stopwatch)
        part += size(challenger, champion, limits)
    return _verdict(challenger, champion, part)


def _verdict(challenger: Bundle, champion: Bundle | None, part: Part) -> Verdict:
    intervals = {
        name: (figure.low, figure.high)
        for name, figure in part.figures.items()
        if isinstance(figure, Interval)
    }
    measures = {
        name: figure.estimate if isinstance(figure, Interval) else figure
        for name, figure in part.figures.items()
    }
    version = None if champion is None else champion.version
    return Verdict(challenger.version, version, part.findings, measures, intervals)
