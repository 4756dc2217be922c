"""The gate's checks of data, order, calibration, cost and decisions, on the whole window."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle
from flight_delays.pipeline.bootstrap import Interval, difference, equal_count_edges
from flight_delays.pipeline.limits import Limits
from flight_delays.pipeline.measured import Answers, Part, Trial, bounded

MISSED = 1.0
"""Cost of a late arrival that nobody was warned of, the unit of all costs."""

NEEDLESS = 1 / 3
"""Cost of a warning for a flight that arrives on time, see `export.THRESHOLD`."""


def window_is_enough(window: pd.DataFrame, limits: Limits) -> Part:
    """Is there enough to judge on: days, late flights and punctual ones?"""
    count = window["departure"].dt.floor("D").nunique()
    late = int(window["late"].sum())
    kinds = min(late, len(window) - late)
    return Part.of(
        [
            bounded(
                "window",
                "days to judge on",
                count >= limits.min_days,
                f"{count} days",
                f">= {limits.min_days} days",
                "Days are what the intervals are drawn from; with so few of them any difference "
                "could be the weather. Wait for more flights to land, or widen window_days.",
            ),
            bounded(
                "window",
                "late and punctual flights",
                kinds > 0,
                f"{late} late of {len(window)}",
                "both kinds",
                "Without both kinds there is no order to judge. Look at the label of the window.",
            ),
        ],
        window_flights=float(len(window)),
        window_days=float(count),
        late_share=late / max(len(window), 1),
    )


def is_newer(
    challenger: Bundle, champion: Bundle | None, window: pd.DataFrame, limits: Limits
) -> Part:
    """Compare the last days of training data with each other and with the window."""
    last, first = challenger.info.data.last, window["departure"].min().date()
    gap = (first - last).days - 1
    findings = [
        bounded(
            "newer",
            "training data ends before the window",
            last < first,
            str(last),
            f"before {first}",
            "The challenger was trained on flights that it is judged on, so every score below is "
            "flattered. Train it through the day before the window.",
        ),
        bounded(
            "newer",
            "days between training data and window",
            gap <= limits.max_gap_days,
            _days(gap),
            f"<= {_days(limits.max_gap_days)}",
            "Weather and schedules have moved on since the challenger's last day. Train on newer "
            "flights; if there are none, find out why none arrived.",
        ),
    ]
    if champion is not None:
        findings.append(
            bounded(
                "newer",
                "training data ends no earlier than the champion's",
                last >= champion.info.data.last,
                str(last),
                f"{champion.info.data.last} or later",
                "The champion knows newer flights than the challenger, so this would be a step "
                "back in time. Train on newer flights; to go back on purpose, roll back instead.",
            )
        )
    return Part.of(findings, gap_days=float(gap))


def discrimination(trial: Trial, limits: Limits) -> Part:
    """ROC AUC and log loss: enough of it, not less than the champion's, not too good to be true."""
    late, own = trial.late, trial.challenger
    statistic = trial.days.roc_auc(late, own.probability)
    auc = trial.days.interval(statistic)
    losses = log_losses(late, own)
    loss = trial.days.interval(trial.days.mean(losses))
    base = float(log_losses_of(late, np.full(len(late), late.mean())).mean())
    findings = [
        bounded(
            "discrimination",
            "ROC AUC",
            auc.low >= limits.auc_minimum,
            show(auc),
            f"low >= {limits.auc_minimum:g}",
            "The challenger hardly tells late flights from punctual ones on these days. Look at "
            "the features and at the weather of the window before training again.",
        ),
        bounded(
            "discrimination",
            "ROC AUC, too good to be true",
            auc.estimate <= limits.auc_maximum,
            f"{auc.estimate:.3f}",
            f"<= {limits.auc_maximum:g}",
            _LEAK,
        ),
        bounded(
            "discrimination",
            "log loss, less than with the share of late flights alone",
            loss.estimate < base,
            f"{loss.estimate:.4f}",
            f"< {base:.4f}",
            "One number for all flights would predict better than the challenger. Its "
            "probabilities are off: look at calibration below.",
        ),
    ]
    figures = {"auc": auc, "log_loss": loss, "log_loss_base": base}
    if trial.champion is None:
        return Part.of(findings, **figures)

    other = trial.days.roc_auc(late, trial.champion.probability)
    gain = trial.days.interval(difference(statistic, other))
    more = trial.days.interval(trial.days.mean(losses - log_losses(late, trial.champion)))
    findings += [
        bounded(
            "discrimination",
            "ROC AUC, challenger - champion",
            gain.low >= -limits.auc_margin,
            show(gain),
            f"low >= {-limits.auc_margin:g}",
            "The challenger may order flights worse than the champion does, by more than the "
            "margin. Keep the champion; look at what changed in data, features and parameters.",
        ),
        bounded(
            "discrimination",
            "ROC AUC gained, too good to be true",
            gain.estimate <= limits.auc_gain_maximum,
            f"{gain.estimate:+.3f}",
            f"<= {limits.auc_gain_maximum:+g}",
            _LEAK,
        ),
        bounded(
            "discrimination",
            "log loss, challenger - champion",
            more.high <= limits.log_loss_margin,
            show(more),
            f"high <= {limits.log_loss_margin:g}",
            "The challenger's probabilities may fit what happens worse than the champion's, by "
            "more than the margin. Keep the champion; look at calibration and at the slices.",
        ),
    ]
    champion_auc = trial.days.interval(other)
    return Part.of(
        findings, **figures, auc_champion=champion_auc, auc_gain=gain, log_loss_more=more
    )


_LEAK = (
    "No honest model of these flights came near. Suspect a feature that knows the answer, or "
    "flights of the window in the training data, until the opposite is shown: look for the "
    "feature without which the score falls, and for what it knows only after departure."
)


def calibration(trial: Trial, limits: Limits) -> Part:
    """Do the probabilities mean what they say, and as much as the champion's do?

    The expected calibration error is the mean distance between prediction and share of late
    flights in 20 bins of equally many flights; each model has its own bins.
    """
    days, late = trial.days, trial.late
    own = _calibration_error(trial, trial.challenger)
    error, gap = days.interval(own), days.interval(days.mean(trial.challenger.probability - late))
    findings = [
        bounded(
            "calibration",
            "expected calibration error",
            error.estimate <= limits.calibration_maximum,
            show(error),
            f"<= {limits.calibration_maximum:g}",
            "A probability of 0.3 should come true in 3 of 10 flights, and these do not. Every "
            "decision by threshold rests on it: train again, or calibrate on newer flights.",
        ),
        bounded(
            "calibration",
            "mean prediction - share of late flights",
            abs(gap.estimate) <= limits.calibration_maximum,
            show(gap),
            f"within {limits.calibration_maximum:g}",
            "The challenger expects far more, or far fewer, late flights than there were. Look at "
            "the share of late flights in the training data, then at the exported probabilities.",
        ),
    ]
    figures = {"calibration_error": error, "prediction_gap": gap}
    if trial.champion is None:
        return Part.of(findings, **figures)

    more = days.interval(difference(own, _calibration_error(trial, trial.champion)))
    findings.append(
        bounded(
            "calibration",
            "expected calibration error, challenger - champion",
            more.low <= limits.calibration_margin,
            show(more),
            f"low <= {limits.calibration_margin:g}",
            "The challenger is worse calibrated than the champion, by more than the margin and "
            "beyond chance. Keep the champion; compare the share of late flights in both windows.",
        )
    )
    return Part.of(findings, **figures, calibration_error_more=more)


def cost(trial: Trial, limits: Limits) -> Part:
    """What the warnings cost, with each model's own threshold; ROC AUC cannot see a threshold.

    A late arrival that nobody was warned of costs 1, a needless warning a third.
    """
    days, late = trial.days, trial.late
    own = costs(late, trial.challenger.warned)
    mean, silent = days.interval(days.mean(own)), costs(late, np.zeros(len(late), bool)).mean()
    always = costs(late, np.ones(len(late), bool)).mean()
    simple = min(silent, always)
    figures = {
        "cost": mean,
        "cost_of_one_answer": float(simple),
        "warned_share": float(trial.challenger.warned.mean()),
    }
    if trial.champion is None:
        finding = bounded(
            "cost",
            "cost a flight, less than warning of all or of none",
            mean.estimate < simple,
            f"{mean.estimate:.4f}",
            f"< {simple:.4f}",
            "The same answer for every flight would cost less than the challenger's warnings. "
            "Look at the threshold and at calibration.",
        )
        return Part.of([finding], **figures)

    more = days.interval(days.mean(own - costs(late, trial.champion.warned)))
    moved = float(trial.challenger.warned.mean() - trial.champion.warned.mean())
    changed = float((trial.challenger.warned != trial.champion.warned).mean())
    findings = [
        bounded(
            "cost",
            "cost a flight, challenger - champion",
            more.high <= limits.cost_margin,
            show(more),
            f"high <= {limits.cost_margin:g}",
            "The challenger's warnings may cost more than the champion's, by more than the "
            "margin. Look at the threshold first, then at calibration.",
        ),
        bounded(
            "difference",
            "share of flights warned of, challenger - champion",
            abs(moved) <= limits.warned_change,
            f"{moved:+.3f}",
            f"within {limits.warned_change:g}",
            "So many more, or fewer, warnings change the work of everybody who acts on them, "
            "whatever the scores say. Look at the threshold; if the change is meant, tell the "
            "people first and raise warned_change for this release.",
        ),
        bounded(
            "difference",
            "share of decisions that change",
            changed <= limits.changed_decisions,
            f"{changed:.3f}",
            f"<= {limits.changed_decisions:g}",
            "The challenger decides differently on too many flights for a model of the same data "
            "plus a few newer days. Look at features, encoding and threshold for what changed.",
        ),
    ]
    return Part.of(
        findings, **figures, cost_more=more, warned_change=moved, changed_decisions=changed
    )


def log_losses(late: NDArray[np.bool_], answers: Answers) -> NDArray[np.float64]:
    """The log loss of each flight, shape (flights,)."""
    return log_losses_of(late, answers.probability)


def log_losses_of(late: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = np.clip(probability, 1e-7, 1 - 1e-7)  # float32 next to 0 and 1
    return -np.log(np.where(late, probability, 1 - probability))


def costs(late: NDArray[np.bool_], warned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The cost of each flight, shape (flights,)."""
    return np.where(late, MISSED * ~warned, NEEDLESS * warned)


def show(interval: Interval) -> str:
    """Write an interval as the tables show it."""
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _calibration_error(trial: Trial, answers: Answers):
    edges = equal_count_edges(answers.probability)
    return trial.days.calibration_error(trial.late, answers.probability, edges)


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
