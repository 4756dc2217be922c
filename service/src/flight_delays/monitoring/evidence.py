"""Everything a decision about the model may rest on, from a reference, a log and labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flight_delays.monitoring.clock import TimeOf, by_clock
from flight_delays.monitoring.decay import complete, complete_days, decay_of
from flight_delays.monitoring.detectors import BEFORE_DAYS, change_of
from flight_delays.monitoring.domain import domain
from flight_delays.monitoring.drift import drift
from flight_delays.monitoring.estimate import calibration_of, estimate
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.performance import performance
from flight_delays.monitoring.quality import quality
from flight_delays.monitoring.summary import summarise
from flight_delays.monitoring.window import Window, read_window
from flight_delays.pipeline.findings import Findings

if TYPE_CHECKING:
    from flight_delays.monitoring.reference import Reference


@dataclass(frozen=True)
class Evidence:
    """What was found about the days from `first` to `last`, as known at `as_of`.

    Attributes:
        rows, labelled: flights, and those whose label was known.
        quality, drift, decay: findings; decay is None when too few labels have come to judge.
        change: for a window that failed `decay`, the day since when it is so, if one is found.
        figures: by name; a figure that could not be had is absent.
    """

    first: date
    last: date
    as_of: date
    rows: int
    labelled: int
    quality: Findings
    drift: Findings
    decay: Findings | None
    change: date | None
    figures: dict[str, float]

    def to_text(self) -> str:
        """Return what a person reads: counts, figures, findings."""
        known = f"{self.labelled:,} with a label as of {self.as_of}"
        lines = [f"{self.first} to {self.last}: {self.rows:,} flights, {known}"]
        lines += [
            f"  {name.replace('_', ' '):24} {value:.4f}" for name, value in self.figures.items()
        ]
        findings = self.quality + self.drift + (self.decay or ())
        lines += ["", findings.to_table(), ""]
        if self.decay is None:
            lines.append("decay: not judged, too few labels of whole days have come")
        elif self.change is not None:
            lines.append(f"decay: since about {self.change}")
        return "\n".join(lines).rstrip()

    def to_json(self) -> dict[str, Any]:
        """Return everything, ready for `json.dumps`."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "as_of": self.as_of.isoformat(),
            "rows": self.rows,
            "labelled": self.labelled,
            "quality": self.quality.to_json(),
            "drift": self.drift.to_json(),
            "decay": None if self.decay is None else self.decay.to_json(),
            "change": None if self.change is None else self.change.isoformat(),
            "figures": self.figures,
        }


def gather(
    reference: Reference,
    log: Path,
    labels: LabelStore | None,
    first: date,
    last: date,
    as_of: date,
    time_of: TimeOf = by_clock,
    *,
    all_together: bool = False,
) -> Evidence:
    """Look at the days from `first` to `last`, both included, with the labels known by `as_of`.

    The same log and labels give the same evidence, whenever it is asked for.

    Args:
        all_together: ask the domain classifier as well (`domain.py`). That takes some thirty fits,
            a few seconds, and it knows a season when it sees one: for a person who looks, not for
            a loop that acts.

    Raises:
        FileNotFoundError, ValueError: see `window.read_window`.
    """
    # The days before are there for the detector, which needs to have seen how it was.
    longer = read_window(
        log, labels, first - timedelta(days=BEFORE_DAYS), last, as_of, time_of,
        reference.bins.vocabulary,
    )  # fmt: skip
    window = longer.between(first, last)
    outcomes = window.outcomes()
    judged = outcomes.of(complete_days(outcomes, as_of))
    moved = Findings()
    if all_together:
        moved = domain(reference, window.day, window.matrix).finding()
    summary = summarise(log, reference.bins, first, last, time_of)
    found_decay = decay_of(reference.outcomes, judged)
    change = None
    if found_decay is not None and not found_decay.passed:
        before = longer.between(first - timedelta(days=BEFORE_DAYS), first - timedelta(days=1))
        change = change_of(reference.outcomes, before.outcomes() + judged, judged)
    return Evidence(
        first=first,
        last=last,
        as_of=as_of,
        rows=len(window),
        labelled=int(window.known.sum()),
        quality=quality(reference, summary),
        drift=drift(reference, summary) + moved,
        decay=found_decay,
        change=None if change is None else change.since,
        figures=_figures(reference, window, len(judged)),
    )


def _figures(reference: Reference, window: Window, complete: int) -> dict[str, float]:
    figures = {"complete_days": float(complete), "repeated": float(window.repeated)}
    if not len(window):
        return figures
    figures["mean_prediction"] = float(window.probabilities.mean())
    figures["labelled_share"] = float(window.known.mean())
    expected = estimate(window.probabilities, calibration_of(reference.outcomes))
    figures |= {
        "estimated_roc_auc": expected.roc_auc,
        "estimated_log_loss": expected.log_loss,
        "estimated_late_share": expected.late_share,
    }
    if complete:
        figures |= _realized(window)
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _realized(window: Window) -> dict[str, float]:
    """Scores of the days whose labels are complete enough; without both kinds of flights none."""
    window = complete(window)
    late = window.late[window.known] == 1
    if not late.any() or late.all():
        return {}
    found = performance(window, with_slices=False)
    return {
        "roc_auc": found.roc_auc.estimate,
        "roc_auc_low": found.roc_auc.low,
        "roc_auc_high": found.roc_auc.high,
        "log_loss": found.log_loss.estimate,
        "brier": found.brier.estimate,
        "late_share": found.late_share.estimate,
        "calibration_error": found.calibration_error.estimate,
        "calibration_intercept": found.calibration.intercept,
        "calibration_slope": found.calibration.slope,
    }
