"""The classifier that tells the window from the reference."""

from __future__ import annotations

import numpy as np
import pytest

from flight_delays.features import NAMES
from flight_delays.monitoring.domain import Domain, domain_auc


def flights_like(rng: np.random.Generator, days: int, start: str, together: bool = True):
    """A hundred flights a day; temperature and dew point go together, or each for itself."""
    day = np.repeat(np.datetime64(start) + np.arange(days), 100)
    matrix = rng.normal(size=(len(day), len(NAMES))).astype(np.float32)
    warm = rng.normal(size=len(day))
    matrix[:, NAMES.index("temperature")] = warm
    matrix[:, NAMES.index("dew_point")] = (
        warm + 0.3 * rng.normal(size=len(day)) if together else rng.normal(0, 1.044, len(day))
    )
    return day, matrix


def test_the_same_distribution_cannot_be_told():
    rng = np.random.default_rng(0)
    auc = domain_auc(*flights_like(rng, 20, "2013-01-01"), *flights_like(rng, 20, "2013-03-01"))
    assert 0.5 <= auc < 0.55


def test_features_that_no_longer_go_together_are_told_though_each_is_as_before():
    rng = np.random.default_rng(0)
    auc = domain_auc(
        *flights_like(rng, 20, "2013-01-01"), *flights_like(rng, 20, "2013-03-01", together=False)
    )
    assert auc > 0.65


def test_a_weather_of_each_day_is_not_taken_for_a_difference():
    """On flights of the same days the classifier would know each day again, and reach 0.9."""
    rng = np.random.default_rng(0)
    first, second = (flights_like(rng, 20, start) for start in ("2013-01-01", "2013-03-01"))
    for _, matrix in (first, second):
        weather = rng.normal(size=20)
        matrix[:, NAMES.index("pressure")] = np.repeat(weather, 100)
    assert domain_auc(*first, *second) < 0.7


def test_few_days_are_not_judged():
    rng = np.random.default_rng(0)
    auc = domain_auc(*flights_like(rng, 20, "2013-01-01"), *flights_like(rng, 5, "2013-03-01"))
    assert np.isnan(auc)
    assert not len(Domain(auc, 0.9).finding())


@pytest.mark.parametrize("passed", [True, False])
def test_the_finding_says_what_was_found(passed):
    (finding,) = Domain(0.8, 0.9 if passed else 0.7).finding()
    assert finding.passed is passed and finding.found == "AUC 0.800"
    assert finding.group == "all together"


def test_real_months_against_the_limit_of_the_reference(reference):
    """One call, so that the whole of it runs: July is far from winter, and the limit knows why."""
    from flight_delays.monitoring.domain import domain

    sample = reference.sample
    june = sample.day >= np.datetime64("2013-06-01")
    found = domain(reference, sample.day[june], sample.matrix[june])
    assert found.auc <= found.limit <= 0.995
    assert found.finding().passed
