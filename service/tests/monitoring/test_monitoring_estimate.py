"""The estimate without labels: right while P(Y|X) stays, blind when it changes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.estimate import calibration_of, estimate, expected_loss
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.window import read_window

SIZE = 200_000


def drawn(mean: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities of late, and what happened."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-rng.normal(mean, 1.0, SIZE)))
    return probability, rng.random(SIZE) < probability


def outcomes_of(probability: np.ndarray, late: np.ndarray) -> Outcomes:
    day = np.datetime64("2013-01-01") + np.arange(SIZE) % 50
    return Outcomes.count(day, probability, late)


def test_it_follows_a_change_of_the_flights() -> None:
    """Harder flights, P(Y|X) as it was: what is estimated is what is realized."""
    calibration = calibration_of(outcomes_of(*drawn(-1.3, seed=0)))
    probability, late = drawn(-0.4, seed=1)
    found = estimate(probability, calibration)
    assert found.rows == SIZE
    assert found.roc_auc == pytest.approx(roc_auc_score(late, probability), abs=0.004)
    assert found.log_loss == pytest.approx(log_loss(late, probability), abs=0.004)
    assert found.late_share == pytest.approx(late.mean(), abs=0.004)
    warned = probability >= 0.25
    assert found.warned == warned.mean()
    assert found.confusion == pytest.approx(
        {
            "caught": (late & warned).mean(),
            "needless": (~late & warned).mean(),
            "missed": (late & ~warned).mean(),
            "left in peace": (~late & ~warned).mean(),
        },
        abs=0.004,
    )
    assert sum(found.confusion.values()) == pytest.approx(1)


def test_it_cannot_see_that_the_same_flights_are_late_more_often() -> None:
    """P(Y|X) changes, the predictions do not: the estimate does not move by a hair."""
    probability, late = drawn(-1.3, seed=0)
    calibration = calibration_of(outcomes_of(probability, late))
    before = estimate(probability, calibration)
    rng = np.random.default_rng(2)
    after_late = late | (rng.random(SIZE) < 0.4)  # any flight may now be late for no reason
    after = estimate(probability, calibration)
    assert after == before
    realized = roc_auc_score(after_late, probability)
    assert before.roc_auc - realized > 0.1
    assert log_loss(after_late, probability) - after.log_loss > 0.2


def test_a_model_that_is_too_sure_is_corrected_by_its_calibration() -> None:
    probability, late = drawn(-1.3, seed=0)
    logit = np.log(probability / (1 - probability))
    too_sure = 1 / (1 + np.exp(-(2 * logit + 1)))
    calibration = calibration_of(outcomes_of(too_sure, late))
    assert calibration.slope == pytest.approx(0.5, abs=0.02)
    other, other_late = drawn(-0.8, seed=3)
    logit = np.log(other / (1 - other))
    sure = 1 / (1 + np.exp(-(2 * logit + 1)))
    found = estimate(sure, calibration)
    assert found.log_loss == pytest.approx(log_loss(other_late, sure), rel=0.02)
    assert estimate(sure, Calibration()).log_loss < found.log_loss - 0.1  # believed as it is


def test_expected_loss_of_days_is_what_the_labels_bring() -> None:
    probability, late = drawn(-1.3, seed=0)
    outcomes = outcomes_of(probability, late)
    expected = expected_loss(outcomes, calibration_of(outcomes))
    assert expected.shape == (50,)
    assert expected.sum() == pytest.approx(outcomes.loss.sum(), rel=0.005)


def test_no_flights_have_no_estimate() -> None:
    found = estimate([], Calibration())
    assert found.rows == 0 and np.isnan(found.roc_auc) and found.confusion == {}


def test_on_the_real_months_it_is_near_the_truth_but_for_what_it_cannot_see(
    logged, reference
) -> None:
    calibration = calibration_of(reference.outcomes)
    flights = logged.flights
    gaps = {}
    for month in (7, 8, 9):
        part = flights[flights["departure"].dt.month == month]
        from_log = read_probabilities(logged, month)
        realized = roc_auc_score(part["late"], from_log)
        gaps[month] = estimate(from_log, calibration).roc_auc - realized
    assert abs(gaps[7]) < 0.03
    assert max(map(abs, gaps.values())) < 0.06


def read_probabilities(logged, month: int) -> np.ndarray:
    last = {7: 31, 8: 31, 9: 30}[month]
    days = date(2013, month, 1), date(2013, month, last)
    return read_window(logged.log, None, *days, days[1], by_request_id).probabilities
