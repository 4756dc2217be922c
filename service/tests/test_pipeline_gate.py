"""Honest challengers pass; each broken one is stopped by the check made for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.export import export_bundle
from flight_delays.features import Columns
from flight_delays.flights import split_by_day
from flight_delays.metadata import Metrics
from flight_delays.pipeline import speed as timing
from flight_delays.pipeline.bootstrap import Days, difference, equal_count_edges
from flight_delays.pipeline.gate import Verdict, judge
from flight_delays.pipeline.limits import Limits
from flight_delays.pipeline.measured import Answers, Trial
from flight_delays.pipeline.scores import costs
from flight_delays.pipeline.slices import slices
from flight_delays.pipeline.speed import Timing, size, speed, take_times
from flight_delays.training import fit

MAY_31, JUNE_30 = date(2013, 5, 31), date(2013, 6, 30)
Train = Callable[..., Bundle]


def month_of(flights: pd.DataFrame, month: int) -> pd.DataFrame:
    """The first 30 days of a month: what a gate would judge on at its end."""
    first = pd.Timestamp(2013, month, 1)
    departure = flights["departure"]
    return flights[(departure >= first) & (departure < first + pd.Timedelta(days=30))]


def stopwatch(
    *factors: float, seconds: float = 2e-4
) -> Callable[[Sequence[Bundle], Any, Any], list[Timing]]:
    """A watch that shows the challenger `factor` times as slow, one factor an attempt."""
    left = list(factors)

    def watch(bundles: Sequence[Bundle], singles: Any, batch: Any) -> list[Timing]:
        factor = left.pop(0) if len(left) > 1 else left[0]
        times = [seconds * factor, seconds][: len(bundles)]
        return [Timing(np.full((3, 40), time), np.full(3, 20 * time)) for time in times]

    return watch


def verdict_on(challenger: Bundle, champion: Bundle | None, window: pd.DataFrame) -> Verdict:
    """Judge; the times are those of a quiet machine, so that no test depends on this one."""
    return judge(challenger, champion, window, stopwatch=stopwatch(1))


def failed(verdict: Verdict) -> list[str]:
    return [finding.check for finding in verdict.findings.failed]


def groups(verdict: Verdict) -> set[str]:
    return {finding.group for finding in verdict.findings.failed}


@pytest.fixture(scope="module")
def train(metrics: Metrics, tmp_path_factory: pytest.TempPathFactory) -> Train:
    def train(table: pd.DataFrame, **parameters: Any) -> Bundle:
        folder = tmp_path_factory.mktemp("bundles")
        pipeline = fit(table, **parameters)
        return load_bundle(export_bundle(pipeline, table, metrics, folder))

    return train


@pytest.fixture(scope="module")
def july(flights: pd.DataFrame) -> pd.DataFrame:
    return month_of(flights, 7)


@pytest.fixture(scope="module")
def champion(train: Train, window: pd.DataFrame) -> Bundle:
    return train(split_by_day(window, MAY_31)[0][::2])


@pytest.fixture(scope="module")
def challenger(bundle_folder: Path) -> Bundle:
    return load_bundle(bundle_folder)


@pytest.fixture(scope="module")
def honest(challenger: Bundle, champion: Bundle, july: pd.DataFrame) -> Verdict:
    return verdict_on(challenger, champion, july)


@dataclass(frozen=True)
class Bent(Bundle):
    """A bundle whose probabilities are bent on the way."""

    bend: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def predict(self, columns: Columns) -> NDArray[np.float32]:
        bent = self.bend(Bundle.predict(self, columns).astype(float))
        return np.clip(bent, 0, 1).astype(np.float32)


def bend(bundle: Bundle, how: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Bent:
    return Bent(bundle.info, bundle.sha256, bundle.vocabulary, bundle.session, how)


def with_info(bundle: Bundle, **changes: Any) -> Bundle:
    return replace(bundle, info=bundle.info.model_copy(update=changes))


def ending(bundle: Bundle, last: date) -> Bundle:
    return with_info(bundle, data=bundle.info.data.model_copy(update={"last": last}))


# Honest models


def test_the_next_honest_model_passes(honest, challenger, champion):
    assert honest.passed, honest.reasons
    assert honest.reasons == []
    assert (honest.challenger, honest.champion) == (challenger.version, champion.version)
    assert {finding.group for finding in honest.findings} == {
        "window", "newer", "discrimination", "calibration", "cost", "difference", "slices",
        "behaviour", "latency", "size",
    }  # fmt: skip
    low, high = honest.intervals["auc_gain"]
    assert low < honest.measures["auc_gain"] < high
    assert honest.measures["auc"] == pytest.approx(0.741, abs=0.005)
    assert all(math.isfinite(value) for value in honest.measures.values())


def test_honest_models_of_later_months_pass(flights, train):
    """Each month a new model, trained on every fifth flight, against the one of the month before.

    README.md says what the full models and others do; months 7 to 12.
    """
    ends = [date(2013, month, 1) - pd.Timedelta(days=1) for month in range(6, 13)]
    bundles = [train(split_by_day(flights, end)[0][::5]) for end in ends]
    for month, old, new in zip(range(7, 13), bundles, bundles[1:], strict=False):
        verdict = verdict_on(new, old, month_of(flights, month))
        assert verdict.passed, (month, verdict.reasons)


def test_without_a_champion_the_absolute_minimum_decides(challenger, july):
    verdict = verdict_on(challenger, None, july)
    assert verdict.passed, verdict.reasons
    assert verdict.champion is None
    assert not any("champion" in finding.check for finding in verdict.findings)
    assert "no champion yet" in verdict.to_table().splitlines()[0]
    assert {"slices", "behaviour", "latency", "size", "cost"} <= {f.group for f in verdict.findings}


def test_the_same_seed_gives_the_same_verdict(honest, challenger, champion, july):
    again = verdict_on(challenger, champion, july)
    assert again == honest
    other = judge(challenger, champion, july, seed=1, stopwatch=stopwatch(1))
    assert other.passed
    assert other.measures["auc_gain"] == honest.measures["auc_gain"]
    assert other.intervals["auc_gain"] != honest.intervals["auc_gain"]


def test_a_verdict_is_written_for_people_and_for_programs(honest, challenger, champion, july):
    refused = verdict_on(with_info(challenger, threshold=0.6), champion, july)
    content = json.loads(json.dumps(refused.to_json()))
    assert content["passed"] is False
    assert content["reasons"] == refused.reasons
    assert len(content["findings"]) == len(refused.findings)
    assert content["intervals"]["auc"][0] < content["measures"]["auc"]
    assert refused.to_table().startswith(f"{challenger.version}: refused, 3 of ")
    assert "Look at the threshold first" in refused.to_markdown()
    assert honest.to_markdown().startswith(f"# {challenger.version}: passed, ")
    assert all(name.replace("_", "").isalnum() for name in honest.measures)


# Broken models


def test_a_leaked_label_is_too_good_to_be_true(flights, champion, train):
    """A column that is filled in after landing leaks into a feature, for two flights of three."""
    known = (flights.index % 3 > 0) & flights["plane_age"].notna()
    leaky = flights.assign(
        plane_age=flights["plane_age"].mask(known, flights["late"] * np.float32(40))
    )
    bundle = train(split_by_day(leaky, JUNE_30)[0][::4])
    verdict = verdict_on(bundle, champion, month_of(leaky, 7))
    assert {"ROC AUC, too good to be true", "ROC AUC gained, too good to be true"} <= set(
        failed(verdict)
    )
    assert "knows only after departure" in " ".join(verdict.reasons)
    assert verdict.findings.group("calibration").passed
    assert verdict.findings.group("newer").passed


def test_a_model_that_saw_the_window_is_refused(challenger, champion, july):
    verdict = verdict_on(ending(challenger, date(2013, 7, 3)), champion, july)
    assert failed(verdict) == ["training data ends before the window"]


def test_stale_data_is_refused(challenger, champion, july):
    verdict = verdict_on(ending(challenger, date(2013, 4, 30)), champion, july)
    assert failed(verdict) == [
        "days between training data and window",
        "training data ends no earlier than the champion's",
    ]
    assert "found 61 days" in verdict.reasons[0]
    verdict = verdict_on(ending(challenger, date(2013, 5, 30)), None, july)
    assert failed(verdict) == []


@pytest.mark.parametrize("threshold", [0.6, 0.05])
def test_a_shifted_threshold_is_stopped_by_its_cost(challenger, champion, july, honest, threshold):
    verdict = verdict_on(with_info(challenger, threshold=threshold), champion, july)
    assert groups(verdict) == {"cost", "difference"}
    assert "cost a flight, challenger - champion" in failed(verdict)
    assert verdict.measures["auc"] == honest.measures["auc"]
    assert verdict_on(with_info(challenger, threshold=0.27), champion, july).passed


def test_a_threshold_that_warns_of_nobody_costs_too_much_without_a_champion(challenger, july):
    verdict = verdict_on(with_info(challenger, threshold=0.99), None, july)
    assert failed(verdict) == ["cost a flight, less than warning of all or of none"]


def test_flipped_labels_of_one_carrier_are_found_in_its_slice(champion, train, window, july):
    flipped = window["late"] ^ (window["carrier"] == "VX")
    verdict = verdict_on(train(window.assign(late=flipped)[::2]), champion, july)
    assert failed(verdict) == ["carrier VX"]
    assert verdict.measures["auc_gain"] > 0
    assert "the mean over all flights may hide it" in verdict.reasons[0]


def test_flipped_labels_of_one_airport_are_found_in_its_slice(champion, train, window, july):
    flipped = window["late"] ^ (window["origin"] == "JFK")
    bundle = train(window.assign(late=flipped)[::4])
    assert any(
        check.startswith("origin JFK") for check in failed(verdict_on(bundle, champion, july))
    )
    alone = [f for f in verdict_on(bundle, None, july).findings.failed if f.group == "slices"]
    assert any(finding.check == "origin JFK" for finding in alone)
    assert "worse than chance" in alone[0].reason


@pytest.mark.parametrize(
    "how",
    [
        lambda p: p * 0.5,
        lambda p: p * 1.5,
        lambda p: p**2 / (p**2 + (1 - p) ** 2),  # too sure of itself
    ],
    ids=["halved", "half as much again", "sharpened"],
)
def test_scaled_probabilities_are_miscalibrated(challenger, champion, july, honest, how):
    verdict = verdict_on(bend(challenger, how), champion, july)
    assert "log loss, challenger - champion" in failed(verdict)
    assert verdict.measures["auc"] == pytest.approx(honest.measures["auc"], abs=0.003)
    assert verdict.measures["calibration_error"] > honest.measures["calibration_error"] + 0.05


def test_calibration_is_judged_without_a_champion(challenger, july):
    verdict = verdict_on(bend(challenger, lambda p: p * 0.45), None, july)
    assert {
        "expected calibration error",
        "mean prediction - share of late flights",
        "log loss, less than with the share of late flights alone",
    } == set(failed(verdict)) - {"cost a flight, less than warning of all or of none", EVENING}


EVENING = "a stormy Thursday evening, the lowest of 3 routes"


def test_a_model_that_orders_worse_is_refused(challenger, champion, july):
    """Every fifth flight gets an answer drawn by lot."""

    def lots(probability: NDArray[np.float64]) -> NDArray[np.float64]:
        random = np.random.default_rng(3)
        drawn = random.random(len(probability)) < 0.2
        return np.where(drawn, random.permutation(probability), probability)

    verdict = verdict_on(bend(challenger, lots), champion, july)
    assert "ROC AUC, challenger - champion" in failed(verdict)
    assert {"discrimination", "behaviour"} <= groups(verdict)


def test_a_model_that_knows_nothing_is_refused_without_a_champion(challenger, july):
    verdict = verdict_on(bend(challenger, lambda p: np.full_like(p, 0.25)), None, july)
    assert {"discrimination", "behaviour"} <= groups(verdict)
    assert verdict.measures["auc"] == 0.5


# Time and size


def test_a_slow_model_is_refused_after_three_measurements(challenger, champion, july):
    verdict = judge(challenger, champion, july, stopwatch=stopwatch(3.5))
    assert groups(verdict) == {"latency"}
    assert failed(verdict) == [
        "one flight, to the champion's median",
        "batches of 1,000, to the champion's",
    ]
    assert "3.50 times as long" in verdict.reasons[0]


def test_a_busy_machine_is_given_another_chance(challenger, champion, july):
    limits = Limits()
    assert speed(challenger, champion, july, limits, stopwatch=stopwatch(9, 9, 1)).findings.passed
    slow = speed(challenger, champion, july, limits, stopwatch=stopwatch(9, 9, 9, 1))
    assert not slow.findings.passed


def test_absolute_bounds_on_time_hold_without_a_champion(challenger, july):
    part = speed(challenger, None, july, Limits(), stopwatch=stopwatch(1, seconds=0.1))
    assert [finding.check for finding in part.findings.failed] == [
        "one flight, median",
        "one flight, 99 of 100",
        "batches of 1,000",
    ]


def test_times_are_taken_in_turns(champion, challenger, july, monkeypatch):
    monkeypatch.setattr(timing, "ENOUGH_SECONDS", math.inf)
    calls: list[tuple[str, int]] = []

    @dataclass(frozen=True)
    class Counted(Bundle):
        def predict(self, columns: Columns) -> NDArray[np.float32]:
            calls.append((self.version, len(columns["carrier"])))
            return Bundle.predict(self, columns)

    bundles = [Counted(b.info, b.sha256, b.vocabulary, b.session) for b in (challenger, champion)]
    part = speed(*bundles, july, Limits(latency_ms=1e9, latency_p99_ms=1e9, latency_ratio=1e9))
    assert part.figures["latency_ms"] > 0
    assert part.figures["rows_per_second"] > 0
    batches = [version for version, rows in calls if rows == 1_000][2:]  # after the warm-up
    one, two = challenger.version, champion.version
    assert batches[:4] == [two, one, one, two]
    assert batches.count(one) == batches.count(two) == timing.ROUNDS


def test_slow_bundles_are_timed_in_fewer_rounds(champion, july, monkeypatch):
    monkeypatch.setattr(timing, "ENOUGH_SECONDS", 0.0)
    columns = {name: july[name].to_numpy()[:1] for name in champion_columns(champion)}
    (taken,) = take_times([champion], [columns], columns)
    assert taken.single.shape == (timing.FEWEST_ROUNDS, 1)
    assert taken.batch.shape == (timing.FEWEST_ROUNDS,)


def champion_columns(bundle: Bundle) -> list[str]:
    return [spec.name for spec in bundle.info.features]


def test_a_model_of_many_trees_is_too_large(champion, train, window):
    large = train(window[::60], max_iter=500)
    part = size(large, champion, Limits())
    assert [finding.check for finding in part.findings.failed] == ["model.onnx, to the champion's"]
    assert part.figures["size_ratio"] > 4
    assert not size(large, None, Limits(size_bytes=100_000)).findings.passed


# Slices and the window


def test_slices_too_small_to_judge_are_named(honest):
    (small,) = [f for f in honest.findings.group("slices") if "too few" in f.check]
    assert small.passed
    assert all(name in small.found for name in ("AS (", "F9 (", "HA (", "YV ("))
    assert honest.measures["slices_judged"] == 3 + 10 + 2


def test_two_models_that_differ_by_chance_alone_fail_in_no_slice(challenger, july):
    """Noise on the same probabilities, eight times: about thirty comparisons each."""
    columns = {name: july[name].to_numpy() for name in champion_columns(challenger)}
    probability = challenger.predict(columns).astype(float)
    late, random = july["late"].to_numpy(), np.random.default_rng(0)
    days = Days.draw(july["departure"].dt.floor("D"), repeats=2_000)
    for _ in range(8):
        noisy = np.clip(probability + random.normal(0, 0.03, (2, len(july))), 0.01, 0.99)
        answers = [Answers(p, p >= 0.25) for p in noisy]
        assert slices(Trial(july, late, days, *answers), Limits()).findings.passed


def test_too_short_a_window_is_not_judged(challenger, champion, july):
    week = july[july["departure"] < "2013-07-08"]
    verdict = verdict_on(challenger, champion, week)
    assert failed(verdict) == ["days to judge on"]
    assert len(verdict.findings) == 2
    assert failed(verdict_on(challenger, champion, july[july["late"]])) == [
        "late and punctual flights"
    ]
    assert not verdict_on(challenger, champion, july[:0]).passed


def test_costs_by_hand():
    late = np.array([True, True, False, False])
    warned = np.array([True, False, True, False])
    assert costs(late, warned).tolist() == [0, 1, pytest.approx(1 / 3), 0]


# The bootstrap


def random_flights(
    random: np.random.Generator, days: int = 12, flights: int = 40
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.float64]]:
    day = np.repeat(np.arange(days), flights)
    probability = random.random(len(day)).round(1)  # many ties
    return day, random.random(len(day)) < probability, probability


def test_roc_auc_of_drawn_days_is_that_of_the_drawn_flights():
    day, late, probability = random_flights(np.random.default_rng(0))
    shuffled = np.random.default_rng(1).permutation(len(day))
    day, late, probability = day[shuffled], late[shuffled], probability[shuffled]
    days = Days.draw(day, repeats=20, seed=5)
    found = days.roc_auc(late, probability)(days.weights)
    for weights, value in zip(days.weights, found, strict=True):
        weight = weights[day]
        assert value == pytest.approx(roc_auc_score(late, probability, sample_weight=weight))
    assert days.interval(days.roc_auc(late, probability)).estimate == pytest.approx(
        roc_auc_score(late, probability)
    )


def test_means_and_calibration_of_drawn_days_are_those_of_the_drawn_flights():
    day, late, probability = random_flights(np.random.default_rng(2))
    days = Days.draw(day, repeats=10, seed=1)
    edges = equal_count_edges(probability, 5)
    means = days.mean(probability)(days.weights)
    errors = days.calibration_error(late, probability, edges)(days.weights)
    for weights, mean, error in zip(days.weights, means, errors, strict=True):
        rows = np.repeat(np.arange(len(day)), weights[day].astype(int))
        assert mean == pytest.approx(probability[rows].mean())
        bins = np.searchsorted(edges, probability[rows], "right")
        gap = probability[rows] - late[rows]
        by_hand = sum(abs(gap[bins == one].sum()) for one in np.unique(bins)) / len(rows)
        assert error == pytest.approx(by_hand)


def test_calibration_error_is_none_where_shares_are_as_predicted():
    probability = np.repeat([0.25, 0.75], 4)
    late = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    days = Days.draw(np.zeros(8), repeats=5)
    edges = equal_count_edges(probability, 2)
    assert days.interval(days.calibration_error(late, probability, edges)).estimate == 0
    assert days.interval(days.calibration_error(~late, probability, edges)).estimate == 0.5


def test_intervals_by_days_cover_and_intervals_by_flights_do_not():
    """30 days of 50 flights; a day shifts all its flights, as a storm does."""
    random, hits = np.random.default_rng(0), {"days": 0, "flights": 0}
    day = np.repeat(np.arange(30), 50)
    by_days, by_flights = Days.draw(day, 500), Days.draw(np.arange(1_500), 500)
    trials = 200
    for _ in range(trials):
        values = random.normal(0, 0.1, 30)[day] + random.normal(0, 0.3, len(day))
        for name, draws in (("days", by_days), ("flights", by_flights)):
            interval = draws.interval(draws.mean(values))
            hits[name] += interval.low <= 0 <= interval.high
    assert hits["days"] / trials > 0.9
    assert hits["flights"] / trials < 0.75


def test_a_pair_is_compared_on_the_same_days(challenger, champion, july):
    """What days do to both models drops out of their difference."""
    columns = {name: july[name].to_numpy() for name in champion_columns(challenger)}
    late, first, second = (
        july["late"].to_numpy(),
        *(bundle.predict(columns) for bundle in (challenger, champion)),
    )
    days = Days.draw(july["departure"].dt.floor("D"), repeats=2_000)
    one, other = days.roc_auc(late, first), days.roc_auc(late, second)
    paired = days.interval(difference(one, other))
    apart = [days.interval(statistic) for statistic in (one, other)]
    unpaired = math.hypot(*(interval.high - interval.low for interval in apart))
    assert paired.high - paired.low < 0.7 * unpaired
    same = days.interval(difference(one, one))
    assert (same.low, same.high) == (0, 0)


def test_the_real_days_of_july_are_far_from_independent_flights(challenger, champion, july):
    """How much narrower, and wrong, an interval by flights is; see bootstrap.py for ROC AUC."""
    columns = {name: july[name].to_numpy() for name in champion_columns(challenger)}
    late, first, second = (
        july["late"].to_numpy(),
        *(bundle.predict(columns).astype(float) for bundle in (challenger, champion)),
    )
    more = np.where(late, np.log(second / first), np.log((1 - second) / (1 - first)))
    days = Days.draw(july["departure"].dt.floor("D"), repeats=2_000)
    interval = days.interval(days.mean(more))
    by_flights = 2 * 1.96 * more.std() / math.sqrt(len(more))
    assert (interval.high - interval.low) / by_flights > 5


def test_a_statistic_that_some_draws_do_not_have():
    """One day of three has the only late flight; a draw without it has no ROC AUC."""
    days = Days.draw([0, 0, 1, 1, 2, 2], repeats=500)
    late = np.array([True, False, False, False, False, False])
    interval = days.interval(days.roc_auc(late, [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]))
    assert (interval.low, interval.estimate, interval.high) == (1, 1, 1)
    none = days.interval(days.roc_auc(~late & late, np.zeros(6)))
    assert math.isnan(none.low)
