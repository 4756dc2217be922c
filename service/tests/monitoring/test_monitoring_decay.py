"""Decay is told from the weather: stated false alarms are kept, a changed P(Y|X) is found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from flight_delays.flights import columns_of
from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.decay import (
    AUC,
    GAP,
    complete_days,
    decay,
    decay_of,
    draw_windows,
    false_alarms,
    limits,
    t_quantile,
)
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.window import read_window

START = np.datetime64("2013-01-01")
PARTS = ("north", "south", "west")


def year_of(days: int, seed: int, flights: int = 400, harm: float = 0.0) -> Outcomes:
    """Days with storms of their own, flights in three parts, calibrated over the year.

    Args:
        harm: share of the punctual flights of `north` that become late.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), flights)
    storm = np.repeat(rng.normal(0, 0.5, days), flights)
    part = rng.integers(3, size=len(day))
    logit = rng.normal(-1.3, 0.8, len(day))
    late = rng.random(len(day)) < 1 / (1 + np.exp(-(logit + storm)))
    late |= (part == 0) & (rng.random(len(day)) < harm)
    slices = {name: part == number for number, name in enumerate(PARTS)}
    return Outcomes.count(START + day, 1 / (1 + np.exp(-logit)), late, slices)


@dataclass(frozen=True)
class OnlyOutcomes:
    outcomes: Outcomes


@pytest.fixture(scope="module")
def usual() -> Outcomes:
    return year_of(182, seed=0)


def test_nothing_is_found_where_nothing_changed(usual: Outcomes) -> None:
    found = decay_of(usual, year_of(28, seed=1))
    assert found is not None and found.passed and len(found) == 4
    assert {finding.group for finding in found} == {"decay"}


def test_a_change_in_one_part_is_found_and_named(usual: Outcomes) -> None:
    failed = decay_of(usual, year_of(28, seed=1, harm=0.25)).failed
    assert [finding.found.split(":")[0] for finding in failed][-1] == "north"
    assert "north" in failed[-1].reason and "P(Y|X) has changed" in failed[-1].reason


def test_a_small_change_in_one_part_is_found_by_the_slices_before_the_whole(usual) -> None:
    failed = decay_of(usual, year_of(28, seed=1, harm=0.05)).failed
    assert [finding.check.split(",")[0] for finding in failed] == ["prediction - late"]
    assert "slice against rest" in failed[0].check


def test_predictions_without_order_are_found(usual: Outcomes) -> None:
    window = year_of(28, seed=1)
    rng = np.random.default_rng(0)
    mixed = replace(
        window,
        late=rng.permuted(window.late, axis=1),
        punctual=rng.permuted(window.punctual, axis=1),
    )
    assert AUC in [finding.check for finding in decay_of(usual, mixed).failed]


def test_probabilities_that_are_all_too_high_are_found(usual: Outcomes) -> None:
    window = year_of(28, seed=1)
    more = {name: table + [0, 0, 0.25] * table[:, :1] for name, table in window.slices.items()}
    off = replace(window, predicted=window.predicted + 0.25 * window.labelled, slices=more)
    assert [finding.check for finding in decay_of(usual, off).failed] == [GAP]


def test_limits_are_wider_for_fewer_days_and_for_fewer_false_alarms(usual: Outcomes) -> None:
    month, week, rare = limits(usual, 28, 0.05), limits(usual, 7, 0.05), limits(usual, 28, 0.001)
    for name, limit in month.items():
        for wider in (week[name], rare[name]):
            assert wider.low <= limit.low and wider.high >= limit.high
        assert limit.low < limit.expected < limit.high
    assert month[AUC].high == np.inf and week[AUC].low < month[AUC].low


def test_the_stated_false_alarms_are_kept_on_windows_that_did_not_change() -> None:
    # A rate far above the default, so that enough alarms can be counted: 4 a year, 40 in ten years.
    found = false_alarms(year_of(300, seed=3), years=10, alarms_a_year=4.0)
    assert found.years == pytest.approx(9.97, abs=0.01)
    assert 15 <= found.alarms <= 60
    none = false_alarms(year_of(300, seed=3), years=4, alarms_a_year=0.01)
    assert none.a_year <= 0.5


def test_too_few_days_or_late_flights_give_no_judgement(usual: Outcomes) -> None:
    window = year_of(28, seed=1)
    assert decay_of(usual, window.of(slice(0, 6))) is None
    assert decay_of(usual, window.of(slice(0, 7))) is not None
    thin = year_of(28, seed=1, flights=10)
    assert thin.late.sum() < 100 and decay_of(usual, thin) is None
    every = replace(window, late=window.late + window.punctual, punctual=0 * window.punctual)
    assert decay_of(usual, every) is None
    assert decay_of(usual, Outcomes.none()) is None


def test_windows_are_drawn_in_blocks() -> None:
    weights = draw_windows(182, 28, block=14, repeats=500)
    assert (weights.sum(axis=1) == 28).all()
    runs = (np.diff(np.pad(weights > 0, ((0, 0), (1, 0))).astype(int), axis=1) == 1).sum(axis=1)
    assert runs.max() <= 3  # two blocks, one of which may go over the end
    assert weights.mean(axis=0) == pytest.approx(np.full(182, 28 / 182), abs=0.06)


@pytest.mark.parametrize("size", [3, 7, 13, 100])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.975, 0.9995])
def test_the_quantile_is_students(level: float, size: int) -> None:
    assert t_quantile(level, size) == pytest.approx(t.ppf(level, size - 1), rel=1e-3, abs=1e-6)


def with_labels(shares: list[float]) -> Outcomes:
    """A hundred flights a day, of which a share has its label."""
    days = []
    for number, share in enumerate(shares):
        label = np.full(100, np.nan)
        label[: round(100 * share)] = 0
        label[: round(20 * share)] = 1
        days.append(Outcomes.count(np.repeat(START + number, 100), np.full(100, 0.2), label))
    return sum(days, Outcomes.none())


@pytest.mark.parametrize(
    ("shares", "as_of", "expected"),
    [
        ([1, 1, 1], 3, [1, 1, 1]),
        ([1, 1, 0.9, 1], 4, [1, 1, 0, 0]),  # the day after it lacks its late flights, too
        ([1, 1, 0.9, 1], 30, [1, 1, 1, 1]),  # what has not come after two weeks is lost
        ([1, 0.3, 1, 1], 30, [1, 0, 1, 1]),  # most of that day's labels are lost
        ([0, 0], 2, [0, 0]),
        ([], 2, []),
    ],
)
def test_days_are_judged_when_their_labels_are_complete_enough(shares, as_of, expected) -> None:
    found = complete_days(with_labels(shares), date(2013, 1, 1) + timedelta(days=as_of))
    assert found.tolist() == [bool(one) for one in expected]


def test_late_labels_that_come_later_do_not_make_a_window_look_better(logged, reference) -> None:
    """Labels of punctual flights come after two days, those of late ones after three to seven."""
    first, last = date(2013, 7, 1), date(2013, 7, 31)
    with LabelStore(logged.labels) as labels:
        early, all_known = (
            read_window(
                logged.log, labels, first, last, as_of, by_request_id, reference.bins.vocabulary
            )
            for as_of in (last, date(2013, 8, 31))
        )
    newest = early.between(date(2013, 7, 27), last)
    truth = all_known.between(date(2013, 7, 27), last)
    assert newest.known.any()
    assert np.nanmean(newest.late) < np.nanmean(truth.late) / 2  # as it would look
    outcomes = early.outcomes()
    judged = outcomes.days[complete_days(outcomes, last)]
    assert judged.max() <= np.datetime64("2013-07-26") and len(judged) >= 20
    part = np.isin(all_known.day, judged)
    known = early.known & part
    assert abs(early.late[known].mean() - all_known.late[part].mean()) < 0.01
    found = decay(reference, early)
    assert found is not None and f"on {len(judged)} days" in found[0].found


def test_decay_of_a_window_whose_labels_have_not_come_is_not_judged(logged, reference) -> None:
    day = date(2013, 7, 10)
    with LabelStore(logged.labels) as labels:
        window = read_window(logged.log, labels, date(2013, 7, 1), day, day, by_request_id)
    assert decay(reference, window.between(date(2013, 7, 8), day)) is None
    assert decay(OnlyOutcomes(reference.outcomes), window.of(window.late > 2)) is None


def test_the_reference_is_not_flattered_by_the_flights_the_model_was_trained_on(
    reference, bundle, window
) -> None:
    june = window[window["departure"].dt.month == 6]
    as_trained = roc_auc_score(june["late"], bundle.predict(columns_of(june)))
    held_out = reference.outcomes.between(date(2013, 6, 1), date(2013, 6, 30))
    assert len(held_out) == 30 and held_out.labelled.sum() == len(june)
    assert as_trained - held_out.roc_auc(held_out.once)[0] > 0.04
