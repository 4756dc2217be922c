"""The gate: may a challenger take the champion's place?"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from flight_delays.bundle import Bundle
from flight_delays.flights import columns_of
from flight_delays.pipeline.behaviour import behaviour_tests
from flight_delays.pipeline.bootstrap import Days, Interval, difference
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import Limits


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
        return f"{self._headline()}\n{self.findings.to_table()}"

    def to_markdown(self) -> str:
        """Return Markdown for a file."""
        return f"# {self._headline()}\n\n{self.findings.to_markdown()}"

    def _headline(self) -> str:
        against = f"against champion {self.champion}" if self.champion else "no champion yet"
        verdict = "passed" if self.passed else "refused"
        return f"{self.challenger}: {verdict} ({against})"


def judge(
    challenger: Bundle,
    champion: Bundle | None,
    window: pd.DataFrame,
    limits: Limits | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge a challenger on flights that neither model was trained on.

    Args:
        challenger: the bundle as it will be served.
        champion: the bundle in service, None when there is none yet.
        window: the newest flights, table from `flights.load_flights`.
        seed: of every draw; the same seed gives the same verdict, but for the timings.
    """
    limits = limits or Limits()
    late, columns = window["late"].to_numpy(), columns_of(window)
    days = Days.draw(window["departure"].dt.floor("D"), seed=seed)
    auc = days.roc_auc(late, challenger.predict(columns))
    own = days.interval(auc)
    findings = [_at_least("ROC AUC", own, limits.auc_minimum)]
    measures, intervals = {"auc": own.estimate}, {"auc": (own.low, own.high)}
    if champion is not None:
        gain = days.interval(difference(auc, days.roc_auc(late, champion.predict(columns))))
        findings.append(_at_least("ROC AUC, challenger - champion", gain, -limits.auc_margin))
        measures["auc_gain"] = gain.estimate
        intervals["auc_gain"] = (gain.low, gain.high)
    return Verdict(
        challenger.version,
        champion.version if champion else None,
        Findings(findings) + behaviour_tests(challenger, window, limits.behaviour, seed),
        measures,
        intervals,
    )


def _at_least(check: str, found: Interval, limit: float) -> Finding:
    passed = found.low >= limit
    reason = "" if passed else "The challenger orders flights worse than it must."
    return Finding(check, passed, str(found), f"low >= {limit:g}", reason, "discrimination")
