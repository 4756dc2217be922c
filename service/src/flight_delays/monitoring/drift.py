"""Drift of each feature and of the prediction: has the window another distribution?

Drift is not decay. It says that the model is asked about other flights than before, which is a
reason to look and not yet one to retrain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flight_delays.monitoring.bins import CHECKED, PREDICTION
from flight_delays.monitoring.distances import (
    jensen_shannon,
    ks_counts,
    psi,
    wasserstein_counts,
)
from flight_delays.monitoring.signals import is_category
from flight_delays.monitoring.summary import Summary
from flight_delays.pipeline.findings import Finding, Findings

if TYPE_CHECKING:
    from flight_delays.monitoring.reference import Reference

FEATURE, PREDICTED = "feature", "prediction"
"""The groups of these findings."""


def drift(reference: Reference, window: Summary) -> Findings:
    """Compare a window with the reference.

    Args:
        window: its days; the limit is that of the longest length of `signals.LENGTHS` it has.

    Returns:
        One finding a feature (group `feature`) and one for the prediction; none without flights.
    """
    if not len(window):
        return Findings()
    days = len(window)
    expected, found = reference.summary.total(), window.total()
    findings = []
    for name in CHECKED:
        value = psi(expected[name], found[name])
        limit = reference.thresholds.limit(name, days)
        text = f"PSI {value:.3f}, Jensen-Shannon {jensen_shannon(expected[name], found[name]):.3f}"
        if not is_category(name):
            text += _ordered(reference, name, expected[name], found[name])
        passed = value <= limit
        group = PREDICTED if name == PREDICTION else FEATURE
        findings.append(
            Finding(
                name,
                passed,
                text,
                f"PSI {limit:.3f} for {reference.thresholds.length(days)} days",
                "" if passed else _REASONS[group],
                group,
            )
        )
    return Findings(findings)


def psi_of(reference: Reference, window: Summary) -> dict[str, tuple[float, float]]:
    """Feature name, or `prediction`, to its PSI in the window and the limit."""
    if not len(window):
        return {}
    expected, found = reference.summary.total(), window.total()
    return {
        name: (
            float(psi(expected[name], found[name])),
            reference.thresholds.limit(name, len(window)),
        )
        for name in CHECKED
    }


def _ordered(reference: Reference, name: str, expected, found) -> str:
    scale = reference.bins[name]
    there = slice(0, scale.missing)  # missing has no place on the scale
    moved = wasserstein_counts(expected[there], found[there], scale.positions)
    return f", KS {ks_counts(expected[there], found[there]):.3f}, Wasserstein {moved:.2f} sd"


_REASONS = {
    FEATURE: "The flights differ from those of the reference more than its own weeks did. Look "
    "whether it is season, another use of the service or a fault; if the scores hold, only watch.",
    PREDICTED: "The model answers otherwise than in the reference. Look which features moved, and "
    "whether the labels that came say the same.",
}
