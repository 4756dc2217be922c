"""What the watch found, as metrics for Prometheus.

The label sets are bounded: a series for each feature, and of distances one for each length of
window as well; no label comes from outside. A figure that is not known, such as a log loss before
the first label, is absent. A zero would be drawn as a fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flight_delays.pipeline.findings import Findings

PREFIX = "flight_delays_"

DISTANCES = {
    "drift_psi": "Population stability index of so many days against the reference.",
    "drift_limit": "PSI beyond which the feature has drifted, from the reference itself.",
}
SHARES = {
    "missing_share": "Share of the window's rows without a value.",
    "unknown_share": "Share of the window's rows with a value that training never saw.",
}
FIGURES = {
    "window_rows": "Predictions in the window.",
    "silent_days": "Whole days at the end of the window without a prediction.",
    "labelled_share": "Share of the window's predictions whose flight has a label.",
    "log_loss": "Log loss on the labelled predictions of the window.",
    "roc_auc": "ROC AUC on the labelled predictions of the window.",
    "late_share": "Share of late flights among the labelled predictions of the window.",
    "mean_prediction": "Mean probability of the labelled predictions of the window.",
    "quality_faults": "Checks of the data's quality that failed.",
    "drift_faults": "Checks of the distributions that failed.",
    "decay_faults": "Checks of the performance that failed; absent with too few labels to judge.",
}


@dataclass(frozen=True)
class Snapshot:
    """What was seen at one moment.

    Attributes:
        at: seconds since 1970, UTC.
        first, last: days of the window, both included; None if there was no whole day yet.
        shares: name in `SHARES` to feature to value.
        distances: name in `DISTANCES` to feature and days of the window to value.
        figures: name in `FIGURES` to value; one that is not known is absent.
        quality, drift: what was judged; empty for an empty window.
        decay: None with too few labels to judge.
    """

    at: float
    first: date | None = None
    last: date | None = None
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    distances: dict[str, dict[tuple[str, int], float]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    quality: Findings = field(default_factory=Findings)
    drift: Findings = field(default_factory=Findings)
    decay: Findings | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what was judged as a dict that `json.dumps` takes."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds"),
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "figures": self.figures,
            "quality": self.quality.to_json(),
            "drift": self.drift.to_json(),
            "decay": None if self.decay is None else self.decay.to_json(),
        }


class Watched(Protocol):
    """What can be shown: the watch, or a stand-in."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest one; None before the first."""

    @property
    def rows_read(self) -> int:
        """Predictions read from the log since the start."""

    @property
    def failures(self) -> int:
        """Looks that failed since the start."""


class WatchCollector(Collector):
    """Turns the newest snapshot into metrics whenever somebody asks."""

    def __init__(self, watch: Watched) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each name above, and those about the watch."""
        read, failed = self._watch.rows_read, self._watch.failures
        yield CounterMetricFamily(f"{PREFIX}watch_read_rows", "Predictions read.", value=read)
        yield CounterMetricFamily(f"{PREFIX}watch_failures", "Looks that failed.", value=failed)
        snapshot = self._watch.snapshot  # once: another may come meanwhile
        if snapshot is not None:
            yield from _families(snapshot)


def _families(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("watch_success_timestamp_seconds", "When the watch last saw.", snapshot.at)
    for name, day in (("first", snapshot.first), ("last", snapshot.last)):
        if day is not None:
            midnight = datetime.combine(day, time(), UTC).timestamp()
            text = f"The window's {name} day, as its midnight in UTC."
            yield _gauge(f"window_{name}_day_timestamp_seconds", text, midnight)
    for name, text in FIGURES.items():
        if name in snapshot.figures:
            yield _gauge(name, text, snapshot.figures[name])
    for name, text in SHARES.items():
        family = GaugeMetricFamily(PREFIX + name, text, labels=["feature"])
        for feature, value in snapshot.shares.get(name, {}).items():
            family.add_metric([feature], value)
        yield family
    for name, text in DISTANCES.items():
        family = GaugeMetricFamily(PREFIX + name, text, labels=["feature", "days"])
        for (feature, days), value in snapshot.distances.get(name, {}).items():
            family.add_metric([feature, str(days)], value)
        yield family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)
