"""Detectors on streams of errors: what they find, and what they take for a change."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from river.drift import PageHinkley

from flight_delays.features import CATEGORIES, NAMES
from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.detectors import DETECTORS, change_of, changes, errors
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.window import Window

START = np.datetime64("2013-07-01")


def stream(days: int, changed: int | None, flights: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Independent 0/1 errors: a fifth of them, from the day `changed` on two fifths."""
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(days), flights)
    share = 0.2 if changed is None else np.where(day < changed, 0.2, 0.4)
    return START + day, (rng.random(len(day)) < share).astype(float)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_change_of_independent_errors_is_found(detector: str) -> None:
    found = [one for one in changes(*stream(60, changed=30), detector) if one.worse]
    first = found[0]
    assert first.detector == detector
    assert date(2013, 7, 31) <= first.day <= date(2013, 8, 3)
    assert date(2013, 7, 30) <= first.since <= first.day
    assert first.after > first.before + 0.1


def test_adwin_finds_nothing_in_independent_errors_that_stay() -> None:
    assert changes(*stream(60, changed=None), "ADWIN") == []


def test_flights_of_one_day_are_late_together_and_adwin_takes_each_storm_for_a_change() -> None:
    """The trap: the same mean on every day in the long run, and days that differ."""
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(60), 800)
    share = np.repeat(rng.beta(2, 6, 60), 800)
    values = (rng.random(len(day)) < share).astype(float)
    assert len(changes(START + day, values, "ADWIN")) > 20
    assert changes(START + day, values, "ADWIN", by="day") == []


def test_values_are_fed_oldest_day_first_and_unknown_ones_are_left_out() -> None:
    day, values = stream(60, changed=30)
    expected = changes(day, values)
    order = np.argsort(np.random.default_rng(2).random(len(day)))
    order = order[np.argsort(day[order], kind="stable")][::-1]  # newest day first
    shuffled = changes(day[order], values[order])
    assert shuffled[0].since == expected[0].since
    with_gaps = np.append(values, np.nan), np.append(day, day[0])
    assert changes(with_gaps[1], with_gaps[0]) == expected
    assert changes(day[:0], values[:0]) == []


def window_of(probability: list[float], late: list[float]) -> Window:
    rows = len(probability)
    return Window(
        matrix=np.zeros((rows, len(NAMES)), np.float32),
        probabilities=np.array(probability, np.float32),
        late=np.array(late, np.float32),
        day=np.full(rows, START),
        version=np.full(rows, "v", object),
        vocabulary={name: {} for name in CATEGORIES},
        as_of=date(2013, 7, 2),
    )


def test_errors_of_three_kinds() -> None:
    window = window_of([0.2, 0.2, 0.9, 0.25, 0.5], [0, 1, 1, 0, np.nan])
    loss = errors(window)
    assert loss[:4] == pytest.approx(-np.log([0.8, 0.2, 0.9, 0.75]), rel=1e-5)
    assert np.isnan(loss[4])
    assert errors(window, "wrong")[:4].tolist() == [0, 1, 0, 1]
    p = np.array([0.2, 0.2, 0.9, 0.25])
    promised = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert errors(window, "excess")[:4] == pytest.approx(loss[:4] - promised, rel=1e-4)
    flatter = errors(window, "excess", calibration=Calibration(0.0, 0.5))
    assert flatter[2] < errors(window, "excess")[2]  # it promised less for the sure one


def counted(days: int, changed: int | None, seed: int) -> Outcomes:
    """Days with storms; from the day `changed` on a third of one part's flights become late."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), 600)
    storm = np.repeat(rng.normal(0, 0.5, days), 600)
    logit = rng.normal(-1.3, 0.8, len(day))
    late = rng.random(len(day)) < 1 / (1 + np.exp(-(logit + storm)))
    part = rng.integers(3, size=len(day))
    if changed is not None:
        late |= (part == 0) & (day >= changed) & (rng.random(len(day)) < 0.33)
    slices = {f"part {number}": part == number for number in range(3)}
    return Outcomes.count(START + day, 1 / (1 + np.exp(-logit)), late, slices)


def test_the_day_since_when_is_found_before_the_window_and_in_it() -> None:
    reference = counted(182, None, seed=0)
    for changed in (40, 75):
        outcomes = counted(91, changed, seed=1)
        found = change_of(reference, outcomes, outcomes.of(slice(61, 91)))
        assert found is not None and found.worse
        assert abs((np.datetime64(found.since) - START).astype(int) - changed) <= 1
        assert found.day >= found.since


def test_without_decay_there_is_no_day_of_change() -> None:
    reference, outcomes = counted(182, None, seed=0), counted(91, None, seed=1)
    assert change_of(reference, outcomes, outcomes.of(slice(61, 91))) is None
    assert change_of(reference, outcomes, outcomes.of(slice(89, 91))) is None  # too few days


def test_settings_of_a_detector_can_be_given() -> None:
    day, values = stream(60, changed=30)
    slow = changes(day, values, "PageHinkley", make=lambda: PageHinkley(threshold=1e9))
    assert slow == []
