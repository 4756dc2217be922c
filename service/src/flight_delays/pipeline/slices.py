"""The gate's look at parts of the window: a mean over all flights hides who pays for it.

Each slice is compared at a level of 0.05 divided by the number of comparisons (Bonferroni), since
of thirty intervals at 95% one or two miss by chance. Bonferroni and not a sharper correction,
because it holds for slices that share flights, as carriers and origins do. A slice fails only when
the whole interval lies beyond the margin: harm has to be shown. The reverse, to demand of each
slice proof of no harm, would refuse every model on the small ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.features import FEATURES
from flight_delays.pipeline.bootstrap import Interval, difference
from flight_delays.pipeline.findings import Finding
from flight_delays.pipeline.limits import Limits
from flight_delays.pipeline.measured import Part, Trial, bounded
from flight_delays.pipeline.scores import log_losses, show

LEVEL = 0.05
READINGS = [
    f.name for f in FEATURES if f.kind == "number" and f.may_be_missing and f.name != "plane_age"
]


@dataclass(frozen=True)
class Judged:
    """A slice and what was found on it; without a champion `auc` is the challenger's own."""

    name: str
    auc: Interval
    log_loss: Interval | None

    def text(self) -> str:
        loss = f", log loss {show(self.log_loss)}" if self.log_loss else ""
        return f"AUC {show(self.auc)}{loss}"


def slices(trial: Trial, limits: Limits) -> Part:
    """Compare challenger and champion on each origin, each carrier, and with readings missing.

    Without a champion, a slice fails where the challenger orders flights worse than chance.
    """
    enough, small = {}, {}
    for kind, name, rows in _split(trial.window):
        late = int(trial.late[rows].sum())
        few = rows.sum() < limits.slice_min_flights or late < limits.slice_min_late
        (small if few else enough).setdefault(kind, []).append((name, rows))

    comparisons = sum(map(len, enough.values())) * (1 if trial.champion is None else 2)
    alpha = LEVEL / max(comparisons, 1)
    findings: list[Finding] = []
    worst = np.inf
    for kind, members in enough.items():
        judged = [_judge(name, trial.of(rows), alpha) for name, rows in members]
        findings.append(_finding(kind, judged, trial.champion is not None, limits))
        worst = min(worst, *(one.auc.estimate for one in judged))
    for kind, members in small.items():
        names = ", ".join(f"{name} ({int(rows.sum())})" for name, rows in members)
        findings.append(
            Finding(
                f"{kind}: too few flights to judge",
                True,
                names,
                f"{limits.slice_min_flights} flights, {limits.slice_min_late} late",
                group="slices",
            )
        )
    figures = {"slices_judged": float(sum(map(len, enough.values())))}
    if np.isfinite(worst):
        figures["slice_worst_auc" + ("_gain" if trial.champion else "")] = float(worst)
    return Part.of(findings, **figures)


def _split(window: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for kind in ("origin", "carrier"):
        values = window[kind].astype(str).to_numpy()
        for value in np.unique(values):
            yield kind, str(value), values == value
    missing = window[READINGS].isna().any(axis=1).to_numpy()
    yield "weather", "complete", ~missing
    yield "weather", "a reading missing", missing


def _judge(name: str, trial: Trial, alpha: float) -> Judged:
    days, late = trial.days, trial.late
    auc = days.roc_auc(late, trial.challenger.probability)
    if trial.champion is None:
        return Judged(name, days.interval(auc, alpha), None)
    other = days.roc_auc(late, trial.champion.probability)
    loss = log_losses(late, trial.challenger) - log_losses(late, trial.champion)
    return Judged(
        name,
        days.interval(difference(auc, other), alpha),
        days.interval(days.mean(loss), alpha),
    )


def _finding(kind: str, judged: list[Judged], compared: bool, limits: Limits) -> Finding:
    """Sum up the slices of one kind: those that fail, or the one with the lowest ROC AUC."""
    failed = [one for one in judged if not _holds(one, limits)]
    lowest = min(failed or judged, key=lambda one: one.auc.estimate)
    limit, worse_than = "AUC high >= 0.5", "chance"
    if compared:
        limit = (
            f"AUC high >= {-limits.slice_auc_margin:g}, "
            f"log loss low <= {limits.slice_log_loss_margin:g}"
        )
        worse_than = "the champion, by more than the margin and beyond luck"
    names = ", ".join(one.name for one in failed)
    return bounded(
        "slices",
        f"{kind} {names}" if failed else f"{kind}, lowest of {len(judged)}",
        not failed,
        f"{lowest.name}: {lowest.text()}",
        limit,
        f"On flights of {kind} {names} the challenger is worse than {worse_than}; the mean over "
        "all flights may hide it. If it is a few slices, compare their labels and features in the "
        "training data with those of the others; if it is most of them, look at the lines above.",
    )


def _holds(one: Judged, limits: Limits) -> bool:
    if one.log_loss is None:
        return not one.auc.high < 0.5
    return not (
        one.auc.high < -limits.slice_auc_margin or one.log_loss.low > limits.slice_log_loss_margin
    )
