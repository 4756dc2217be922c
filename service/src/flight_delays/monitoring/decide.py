"""What to do about what was seen: a few questions, in the order in which they must be asked.

    1. Is there anything to look at?             no:  wait
    2. Are the data sound?                       no:  quarantine
    3. Are there labels enough to judge by?      no:  wait
    4. Has the model become worse?               yes: retrain
    5. Have the data moved?                      yes: watch
                                                 no:  nothing

The data come before the model: a fault in them makes a good model look bad, and a model trained on
them is bad. The labels come before the drift: drift alone says that the flights are other ones, not
that the model is wrong about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from flight_delays.pipeline.findings import Findings

if TYPE_CHECKING:
    from flight_delays.monitoring.evidence import Evidence

Action = Literal["quarantine", "wait", "watch", "retrain", "nothing"]


@dataclass(frozen=True)
class Policy:
    """What the decision is given beside the evidence.

    Attributes:
        min_rows: flights of a window with fewer say nothing.
        label_days: after so many days the labels of a day are complete; newer days are not used.
        gate_days: the newest days, which the gate keeps; no model trains on them.
        min_changed_days: older flights count little only if there are so many days to train on
            since the change.
        auc_margin: how much more ROC AUC than the champion's was lost a challenger may win back
            before the gate suspects a leak.
    """

    min_rows: int = 1_000
    label_days: int = 3
    gate_days: int = 14
    min_changed_days: int = 7
    auc_margin: float = 0.06


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        reasons: a sentence each, the most important first.
        train_from: for `retrain`, the day since which flights count in full, while older ones
            count little; None if all count alike.
        change: the day since which the model is worse, if a detector found one.
    """

    action: Action
    reasons: tuple[str, ...]
    train_from: date | None = None
    change: date | None = None


def decide(
    evidence: Evidence, policy: Policy | None = None, known_change: date | None = None
) -> Decision:
    """Decide what to do about a window.

    Args:
        known_change: the day of a change that an earlier window showed and no model has learned.
    """
    policy = policy or Policy()
    if evidence.rows < policy.min_rows:
        return Decision("wait", (f"{evidence.rows:,} flights, {policy.min_rows:,} are wanted",))
    if evidence.quality.failed:
        return Decision("quarantine", tuple(evidence.quality.reasons))
    if evidence.decay is None:
        known = f"{evidence.labelled:,} of {evidence.rows:,} flights have their label"
        return Decision("wait", (f"{known}, too few to judge the model", *_drift(evidence.drift)))
    if evidence.decay.failed:
        return _retrain(evidence, policy, known_change)
    if evidence.drift.failed:
        return Decision("watch", (*_drift(evidence.drift), "the model is as good as it was"))
    return Decision("nothing", ("within all limits",))


def _retrain(evidence: Evidence, policy: Policy, known_change: date | None) -> Decision:
    """Let the days since the change count most, if it is known and they are enough."""
    reasons = tuple(evidence.decay.reasons)
    change = known_change or evidence.change
    if change is None:
        return Decision("retrain", reasons)
    days = train_days(change, evidence, policy)
    if days >= policy.min_changed_days:
        why = f"changed on {change}: the {days} days to train on since then count most"
        return Decision("retrain", (*reasons, why), change, change)
    why = f"changed on {change}: {max(days, 0)} days to train on since then, too few to tell"
    return Decision("retrain", (*reasons, why), None, change)


def train_days(change: date, evidence: Evidence, policy: Policy) -> int:
    """How many days from a change to the first one that the gate keeps."""
    return (evidence.as_of - change).days + 1 - policy.label_days - policy.gate_days


def _drift(drift: Findings) -> tuple[str, ...]:
    failed = drift.failed
    if not failed:
        return ()
    names = ", ".join(finding.check for finding in failed[:3])
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return (f"{len(failed)} of {len(drift)} have drifted: {names}{more}",)
