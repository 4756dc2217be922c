"""Has the model become worse? Scores of labelled flights against what the reference ever showed.

Figures of a window, each against the spread that windows of as many days have in the reference,
where nothing had changed:

    ROC AUC within days   does the model still tell the late flights of a day from the others?
    log loss, more than   realized less what calibrated probabilities promise (`estimate.py`).
      estimated           Weather that makes all flights harder moves both; a changed P(Y|X) moves
                          only the realized one.
    prediction - late     mean prediction less the share of late flights.
    slice against rest    the same for a slice (`slices.py`), less that of all other flights on
                          those days: a storm hits all of them, a changed airport does not.

The spread comes from windows drawn from the reference in blocks of two weeks, so weekday and
storms are in it, and it is widened because the reference is itself only a few months long. Which
share of windows may fail without cause follows from the stated false alarms a year, half of it for
the three figures and half for the slices.

Labels of late flights come later than those of punctual ones, so a day with half of its labels
looks better than it was. Days count only when they are complete enough, see `complete_days`.
Needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.estimate import calibration_of, expected_loss
from flight_delays.monitoring.outcomes import Outcomes, Weights
from flight_delays.monitoring.window import Window
from flight_delays.pipeline.findings import Finding, Findings

ALARMS_A_YEAR = 0.5
"""Of the one false alarm a year that the whole monitor may raise; drift has the other half."""

BLOCK_DAYS = 14
MIN_DAYS, MIN_LATE = 7, 100
SLICE_MIN_FLIGHTS = 2_000
"""Of the reference; smaller slices are not judged."""
COMPLETE = 0.95
SETTLED_DAYS = 14
"""After so many days a label that has not come is taken as lost."""
MIN_SHARE = 0.5
_DRAWS = 2_000


Statistic = Callable[[Weights], NDArray[np.float64]]
"""From weights of shape (repeats, days) to values of shape (repeats,)."""


class HasOutcomes(Protocol):
    """A reference, see `reference.py`."""

    @property
    def outcomes(self) -> Outcomes: ...


@dataclass(frozen=True)
class Limit:
    """The range in which a figure lies when nothing has changed; infinite where any value may."""

    expected: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)

    def distance(self, value: float) -> float:
        """How far out it lies: 0 as expected, 1 at the limit on its side."""
        limit = self.low if value < self.expected else self.high
        return abs(value - self.expected) / max(abs(limit - self.expected), 1e-12)

    def __str__(self) -> str:
        bounds = {">=": self.low, "<=": self.high}
        parts = [f"{sign} {bound:+.3f}" for sign, bound in bounds.items() if np.isfinite(bound)]
        return f"{' and '.join(parts)}, reference {self.expected:+.3f}"


def decay(
    reference: HasOutcomes, window: Window, alarms_a_year: float = ALARMS_A_YEAR
) -> Findings | None:
    """Judge a window whose labels have come, at least for enough of its days.

    Returns:
        None when too few days or late flights have their labels: no judgement is better than one
        on the flights whose labels came first.
    """
    return decay_of(reference.outcomes, complete(window).outcomes(), alarms_a_year)


def decay_of(
    reference: Outcomes,
    outcomes: Outcomes,
    alarms_a_year: float = ALARMS_A_YEAR,
    looks_a_year: float | None = None,
) -> Findings | None:
    """Judge daily counts, of which every day is complete enough; None as in `decay`.

    Args:
        looks_a_year: how often a year the question is asked; by default once for each window of
            as many days, the windows following one another.
    """
    figures = measure(reference, outcomes, alarms_a_year, looks_a_year)
    if figures is None:
        return None
    days = len(outcomes)
    whole = [_finding(name, *figures[name], days) for name in _REASONS if name in figures]
    slices = {name: figure for name, figure in figures.items() if name not in _REASONS}
    return Findings([*whole, *_slices_finding(slices, days)])


def measure(
    reference: Outcomes,
    outcomes: Outcomes,
    alarms_a_year: float = ALARMS_A_YEAR,
    looks_a_year: float | None = None,
) -> dict[str, tuple[float, Limit]] | None:
    """The figures behind `decay_of`: the name of each to its value and its limit."""
    days, late = len(outcomes), int(outcomes.late.sum())
    if days < MIN_DAYS or min(late, int(outcomes.labelled.sum()) - late) < MIN_LATE:
        return None
    looks = 365 / days if looks_a_year is None else looks_a_year
    bounds = limits(reference, days, alarms_a_year / looks)
    values = _values(outcomes, calibration_of(reference), bounds)
    return {name: (value, bounds[name]) for name, value in values.items()}


def _values(
    outcomes: Outcomes, calibration: Calibration, bounds: dict[str, Limit]
) -> dict[str, float]:
    """The figures that have a limit; a slice without flights has no value."""
    found = statistics(outcomes, calibration) | slice_statistics(outcomes, bounds)
    values = {name: float(statistic(outcomes.once)[0]) for name, statistic in found.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def limits(reference: Outcomes, days: int, alarm_share: float) -> dict[str, Limit]:
    """The limits for windows of some days.

    Args:
        alarm_share: the share of windows in which any of the figures may fail without a cause.
    """
    figures = statistics(reference, calibration_of(reference))
    large = [
        name for name, table in reference.slices.items() if _flights(table) >= SLICE_MIN_FLIGHTS
    ]
    slices = slice_statistics(reference, large)
    drawn = draw_windows(len(reference), days)
    # The window scatters around a mean that the reference knows from a few blocks of days only, and
    # so does the spread itself: Student's t, and n - 1 for n, as in `bootstrap.widened`.
    blocks = max(len(reference) // BLOCK_DAYS, 2)
    wider = float(np.sqrt((1 + days / len(reference)) * blocks / (blocks - 1)))
    share = min(alarm_share, 1.0) / (2 if slices else 1)
    result = {}
    for name, statistic in (figures | slices).items():
        alpha = share / len(figures if name in figures else slices)
        sides = 1 if name in (AUC, LOSS) else 2
        expected = float(statistic(reference.once)[0])
        below, above = _reach(statistic(drawn), t_quantile(1 - alpha / sides, blocks))
        low = -np.inf if name == LOSS else expected - wider * below
        high = np.inf if name == AUC else expected + wider * above
        result[name] = Limit(expected, low, high)
    return result


AUC, LOSS, GAP = "ROC AUC within days", "log loss, more than estimated", "prediction - late"


def statistics(outcomes: Outcomes, calibration: Calibration) -> dict[str, Statistic]:
    """The figures of all flights that are judged."""
    excess = outcomes.loss - expected_loss(outcomes, calibration)

    def more_loss(weights: Weights) -> NDArray[np.float64]:
        return (weights @ excess) / (weights @ outcomes.labelled)

    def gap(weights: Weights) -> NDArray[np.float64]:
        return outcomes.mean_prediction(weights) - outcomes.late_share(weights)

    return {AUC: outcomes.roc_auc_within_days, LOSS: more_loss, GAP: gap}


def slice_statistics(outcomes: Outcomes, names: Iterable[str]) -> dict[str, Statistic]:
    """Of each named slice that the outcomes have: its gap against the rest."""
    return {name: outcomes.slice_gap(name) for name in names if name in outcomes.slices}


def _flights(table: NDArray[np.float64]) -> float:
    return float(table[:, 0].sum())


def draw_windows(
    count: int, days: int, block: int = BLOCK_DAYS, repeats: int = _DRAWS, seed: int = 0
) -> Weights:
    """Draw windows of some days from `count` days, in blocks that follow one another.

    Returns:
        Shape (repeats, count): how often each day is in each window.
    """
    rng = np.random.default_rng(seed)
    index = _draw_days(rng, count, days, min(block, days, count), repeats)
    weights = np.zeros((repeats, count))
    np.add.at(weights, (np.arange(repeats)[:, None], index), 1)
    return weights


def complete_days(outcomes: Outcomes, as_of: date) -> NDArray[np.bool_]:
    """Mark the days whose labels are complete enough to judge.

    Through the last day up to which every day has 95% of its labels or is older than
    `SETTLED_DAYS`; of those old ones, days that lost more than half of their labels are left out.
    Later days are all left out, whatever their share: their stormy ones would be missing.

    Returns:
        Shape (days,), bool.
    """
    share = outcomes.labelled / np.maximum(outcomes.rows, 1)
    settled = outcomes.days < np.datetime64(as_of, "D") - SETTLED_DAYS
    good = (share >= COMPLETE) | settled
    through = len(good) if good.all() else int(np.argmin(good))
    return (np.arange(len(good)) < through) & (share >= MIN_SHARE)


def complete(window: Window) -> Window:
    """The flights of the days that `complete_days` marks."""
    outcomes = window.outcomes()
    days = outcomes.days[complete_days(outcomes, window.as_of)]
    return window.of(np.isin(window.day, days))


@dataclass(frozen=True)
class FalseAlarms:
    """What `false_alarms` measured: `alarms` in `years` of windows in which nothing had changed."""

    alarms: int
    years: float

    @property
    def a_year(self) -> float:
        return self.alarms / self.years


def false_alarms(
    pool: Outcomes,
    years: int,
    days: int = 28,
    reference_days: int = 182,
    alarms_a_year: float = ALARMS_A_YEAR,
    block: int = BLOCK_DAYS,
    seed: int = 0,
) -> FalseAlarms:
    """Count how often `decay_of` fails where nothing can have changed.

    For each year a reference and windows one after another are drawn from the same days, in
    blocks that follow one another, so both have the pool's weather and weekdays and neither has
    an order in time.

    Args:
        pool: daily counts, all labelled.
        days: of a window.
    """
    rng = np.random.default_rng(seed)
    windows = 365 // days
    alarms = 0
    for _ in range(years):
        reference = pool.of(_draw_days(rng, len(pool), reference_days, block)[0])
        bounds = limits(reference, days, alarms_a_year * days / 365)
        calibration = calibration_of(reference)
        for _ in range(windows):
            window = pool.of(_draw_days(rng, len(pool), days, block)[0])
            values = _values(window, calibration, bounds)
            alarms += any(not bounds[name].holds(value) for name, value in values.items())
    return FalseAlarms(alarms, years * windows * days / 365)


def _draw_days(
    rng: np.random.Generator, count: int, days: int, block: int, repeats: int = 1
) -> NDArray[np.intp]:
    """Positions of days in blocks that follow one another, shape (repeats, days)."""
    start = rng.integers(count, size=(repeats, -(-days // block), 1))
    return ((start + np.arange(block)) % count).reshape(repeats, -1)[:, :days]


def _reach(values: NDArray[np.float64], deviations: float) -> tuple[float, float]:
    """How far below and above its mean a figure goes; farther on the side with the longer tail.

    A week of storms has a log loss far above the usual one, and none lies as far below: the
    quantile is moved by the skewness (Cornish and Fisher 1938), only ever outwards.
    """
    values = values[np.isfinite(values)]
    spread = float(values.std())
    if spread == 0:
        return 0.0, 0.0
    skewness = float((((values - values.mean()) / spread) ** 3).mean())
    move = skewness * (deviations**2 - 1) / 6
    return spread * (deviations + max(-move, 0.0)), spread * (deviations + max(move, 0.0))


@cache
def t_quantile(level: float, size: int) -> float:
    """A quantile of Student's t with `size` - 1 degrees of freedom.

    With t = sqrt(nu) tan(angle) the density becomes a power of the cosine, which a sum integrates.
    """
    nu = size - 1
    angle = np.linspace(-np.pi / 2, np.pi / 2, 100_001)[1:-1]
    density = np.cos(angle) ** (nu - 1)
    share = np.cumsum(density) - density / 2
    return float(np.sqrt(nu) * np.tan(np.interp(level, share / density.sum(), angle)))


_REASONS = {
    AUC: "The model tells the late flights of a day from the others less well than on the days it "
    "was made on. Look for what changed; with labels, a retrained model can be put to the gate.",
    LOSS: "The same predictions are followed by something else than before: P(Y|X) has changed, or "
    "the model is too sure of itself on these days. With labels, retrain and put it to the gate.",
    GAP: "The probabilities are too high or too low on the whole, so the threshold warns of too "
    "many flights or too few. With labels, retrain or calibrate, and put it to the gate.",
}
_SLICE = (
    "Flights of {} are late more often (below the limit) or less often (above it) than predicted, "
    "and other flights of the same days are not: P(Y|X) has changed there. Look at what happened "
    "to them; with labels, retrain and put it to the gate."
)


def _finding(name: str, value: float, limit: Limit, days: int) -> Finding:
    passed = limit.holds(value)
    reason = "" if passed else _REASONS[name]
    return Finding(name, passed, f"{value:+.3f} on {days} days", str(limit), reason, "decay")


def _slices_finding(figures: dict[str, tuple[float, Limit]], days: int) -> Iterator[Finding]:
    """One finding for all slices: the one that lies furthest out, and the names of those that do.

    A change of one airport's mornings shows in the airport, in the mornings, in the carriers.
    """
    if not figures:
        return
    order = sorted(figures, key=lambda name: -figures[name][1].distance(figures[name][0]))
    value, limit = figures[order[0]]
    failed = [name for name in order if not figures[name][1].holds(figures[name][0])]
    yield Finding(
        f"prediction - late, slice against rest, worst of {len(figures)}",
        not failed,
        f"{order[0]}: {value:+.3f} on {days} days",
        str(limit),
        _SLICE.format("; ".join(failed)) if failed else "",
        "decay",
    )
