"""Behaviour tests: what a sensible model of delays does on flights we can reason about.

Scores say how good a model is on average. These tests say what it must do in each kind of case:
stay the same where nothing that matters changes (invariance), move the right way where something
does (direction), and get the easy cases right (minimum). They need no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle
from flight_delays.features import CATEGORIES, FEATURES
from flight_delays.flights import columns_of
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import BehaviourLimits
from flight_delays.pipeline.measured import bounded

ROWS, ONE_BY_ONE = 2_000, 200
GROUP = "behaviour"

Table = dict[str, NDArray[Any]]

DIRECTIONS: tuple[tuple[str, float, float, str], ...] = (
    ("visibility", 10, 2, "miles"),
    ("precipitation", 0, 0.3, "inches"),
    ("wind_speed", 5, 25, "miles per hour"),
    ("departure_minute", 7 * 60, 19 * 60, "minutes after midnight"),
)
"""A feature, a value that makes delays rarer, one that makes them more frequent, the unit."""

ROUTES: tuple[dict[str, Any], ...] = (
    {"carrier": "UA", "origin": "EWR", "destination": "ORD", "distance": 719},
    {"carrier": "B6", "origin": "JFK", "destination": "FLL", "distance": 1069},
    {"carrier": "DL", "origin": "LGA", "destination": "ATL", "distance": 762},
)
CLEAR_DAWN: dict[str, Any] = {
    "departure_minute": 6 * 60 + 5,
    "weekday": 5,
    "temperature": 60,
    "dew_point": 40,
    "humidity": 45,
    "wind_direction": 270,
    "wind_speed": 6,
    "precipitation": 0,
    "pressure": 1020,
    "visibility": 10,
    "plane_age": 8,
}
STORMY_EVENING: dict[str, Any] = {
    "departure_minute": 19 * 60 + 15,
    "weekday": 3,
    "temperature": 70,
    "dew_point": 66,
    "humidity": 94,
    "wind_direction": 180,
    "wind_speed": 18,
    "precipitation": 0.3,
    "pressure": 1003,
    "visibility": 1.5,
    "plane_age": 8,
}


def behaviour_tests(
    bundle: Bundle, flights: pd.DataFrame, limits: BehaviourLimits | None = None, seed: int = 0
) -> Findings:
    """Try a model on real flights, on the same flights changed in one way, and on made-up ones.

    Args:
        flights: table from `flights.load_flights`, or some rows of it; at most 2,000 are drawn.

    Raises:
        ValueError: the table is empty, lacks a column, or holds a value outside a feature's range.
    """
    if flights.empty:
        raise ValueError("flights: expected some rows to try the model on, found none")
    limits = limits or BehaviourLimits()
    rows = columns_of(flights.sample(min(ROWS, len(flights)), random_state=seed))
    tests = (
        _probabilities(bundle, rows),
        _same_in_any_order(bundle, rows, limits, seed),
        _same_one_by_one(bundle, rows, limits),
        _same_for_any_unknown_name(bundle, rows, limits),
        _nearly_same_after_small_changes(bundle, rows, limits),
        _moves_the_right_way(bundle, rows),
        _gets_easy_cases_right(bundle, limits),
    )
    return Findings(finding for test in tests for finding in test)


def _probabilities(bundle: Bundle, rows: Table) -> Iterator[Finding]:
    blank = rows | {
        feature.name: np.full(len(rows[feature.name]), np.nan, np.float32)
        for feature in FEATURES
        if feature.may_be_missing and feature.kind == "number"
    }
    found = np.concatenate([bundle.predict(rows), bundle.predict(blank)])
    wrong = int((~((found >= 0) & (found <= 1))).sum())  # counts NaN as well
    yield _finding(
        "answers are probabilities, also without weather and plane",
        wrong == 0,
        f"{wrong} of {len(found)} are not",
        "none",
        "The service would answer with a number that means nothing, or fail. Look at the export "
        "and at how missing values reach the model.",
    )


def _same_in_any_order(
    bundle: Bundle, rows: Table, limits: BehaviourLimits, seed: int
) -> Iterator[Finding]:
    together = bundle.predict(rows)
    order = np.random.default_rng(seed).permutation(len(together))
    shuffled = bundle.predict({name: values[order] for name, values in rows.items()})
    yield _unmoved(
        "same answers in another order",
        together[order],
        shuffled,
        limits,
        "The answer for a flight depends on its place in the batch: callers would get another "
        "answer by sorting their flights. Look for a step that computes across rows.",
    )


def _same_one_by_one(bundle: Bundle, rows: Table, limits: BehaviourLimits) -> Iterator[Finding]:
    few = {name: values[:ONE_BY_ONE] for name, values in rows.items()}
    together = bundle.predict(few)
    alone = np.concatenate(
        [
            bundle.predict({name: values[row : row + 1] for name, values in few.items()})
            for row in range(len(together))
        ]
    )
    yield _unmoved(
        "same answers one by one as in a batch",
        together,
        alone,
        limits,
        "The answer for a flight depends on its neighbours in the batch, so what was judged in "
        "batches is not what single requests get. Look for a step that computes across rows.",
    )


def _same_for_any_unknown_name(
    bundle: Bundle, rows: Table, limits: BehaviourLimits
) -> Iterator[Finding]:
    for name in CATEGORIES:
        count = len(rows[name])
        first, second = (
            bundle.predict(rows | {name: np.full(count, value, object)}) for value in ("Z0", "Q9")
        )
        yield _unmoved(
            f"same answers for two unknown names of {name}",
            first,
            second,
            limits,
            f"The model never saw either name, and yet tells them apart. Look at how {name} is "
            "encoded: a hash or a new code would do this, and the answer would be chance.",
        )


def _nearly_same_after_small_changes(
    bundle: Bundle, rows: Table, limits: BehaviourLimits
) -> Iterator[Finding]:
    before = bundle.predict(rows)
    minute, temperature = rows["departure_minute"], rows["temperature"]
    changes = {
        "a minute later": {"departure_minute": np.minimum(minute + 1, 1439)},
        "0.1 degrees warmer": {"temperature": np.minimum(temperature + np.float32(0.1), 140)},
    }
    for what, change in changes.items():
        after = bundle.predict(rows | change)
        moved = float(np.abs(after - before).mean())
        threshold = bundle.info.threshold
        turned = float(((after >= threshold) != (before >= threshold)).mean())
        yield _finding(
            f"nearly same answers {what}",
            moved <= limits.small_change and turned <= limits.small_change_decisions,
            f"{moved:.4f} on average, {turned:.3f} of decisions",
            f"<= {limits.small_change:g}, <= {limits.small_change_decisions:g}",
            "A change that nobody would notice changes the answer: the model has learned flights "
            "by heart. Fewer or smaller trees, or more flights in a leaf.",
        )


def _moves_the_right_way(bundle: Bundle, rows: Table) -> Iterator[Finding]:
    for name, better, worse, unit in DIRECTIONS:
        count = len(rows[name])
        low, high = (
            bundle.predict(rows | {name: np.full(count, value, np.float32)}).astype(float)
            for value in (better, worse)
        )
        rise = float((high - low).mean())
        yield _finding(
            f"{name} from {better:g} to {worse:g} {unit}",
            rise > 0,
            f"{rise:+.3f} on average",
            "> 0",
            f"Delays become more frequent this way, and the model says they become rarer. Look at "
            f"the unit and the sign of {name} in training, and whether the join still fits.",
        )


def _gets_easy_cases_right(bundle: Bundle, limits: BehaviourLimits) -> Iterator[Finding]:
    easy, hard = (
        bundle.predict(
            {
                feature.name: [(route | weather)[feature.name] for route in ROUTES]
                for feature in FEATURES
            }
        )
        for weather in (CLEAR_DAWN, STORMY_EVENING)
    )
    reason = (
        "These flights are made up so that nobody needs a model to know the answer. A model that "
        "misses them is broken, whatever its average: compare the features as it reads them."
    )
    yield _finding(
        "a clear Saturday at dawn, the highest of 3 routes",
        bool(easy.max() <= limits.easy_at_most),
        f"{easy.max():.3f}",
        f"<= {limits.easy_at_most:g}",
        reason,
    )
    yield _finding(
        "a stormy Thursday evening, the lowest of 3 routes",
        bool(hard.min() >= limits.hard_at_least),
        f"{hard.min():.3f}",
        f">= {limits.hard_at_least:g}",
        reason,
    )
    rise = float((hard - easy).min())
    yield _finding(
        "stormy evening above clear dawn on each route",
        rise > 0,
        f"{rise:+.3f} at least",
        "> 0",
        reason,
    )


def _unmoved(
    check: str,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    limits: BehaviourLimits,
    reason: str,
) -> Finding:
    moved = float(np.abs(before.astype(float) - after).max())
    return _finding(
        check, moved <= limits.rounding, f"{moved:.2g} apart", f"<= {limits.rounding:g}", reason
    )


def _finding(check: str, passed: bool, found: str, limit: str, reason: str) -> Finding:
    return bounded(GROUP, check, passed, found, limit, reason)
