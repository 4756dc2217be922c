"""Distances of distributions: against scipy, and what each makes of the sample's size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from flight_delays.monitoring.distances import (
    jensen_shannon,
    ks,
    ks_counts,
    psi,
    wasserstein,
    wasserstein_counts,
)

BINS = 10


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_equal_shares_are_at_no_distance_whatever_the_size():
    first, second = np.array([1, 2, 3, 4]), np.array([100, 200, 300, 400])
    assert psi(first, second) == pytest.approx(0)
    assert jensen_shannon(first, second) == pytest.approx(0)
    assert ks_counts(first, second) == pytest.approx(0)
    assert wasserstein_counts(first, second, [1, 2, 3, 4]) == pytest.approx(0)


def test_psi_of_a_case_computed_by_hand():
    assert psi([50, 50], [80, 20]) == pytest.approx(0.3 * np.log(1.6) + 0.3 * np.log(2.5))


def test_an_empty_bin_keeps_psi_finite():
    assert psi([100, 0], [0, 100]) == pytest.approx(2 * 0.9999 * np.log(1e4), rel=1e-3)


def test_jensen_shannon_is_that_of_scipy(rng):
    first, second = rng.random((2, 30))
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, base=2))
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(1)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_ks_is_that_of_scipy(rng, shift):
    first, second = rng.normal(size=800), rng.normal(shift, size=1_100)
    expected = ks_2samp(first, second, method="asymp")
    statistic, p_value = ks(first, second)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, rel=0.1, abs=1e-6)


def test_wasserstein_is_that_of_scipy_in_standard_deviations(rng):
    first, second = rng.normal(5, 3, 900), rng.normal(6, 4, 700)
    expected = wasserstein_distance(first, second) / first.std()
    assert wasserstein(first, second) == pytest.approx(expected)


def test_missing_values_are_left_out_and_nothing_else_is_refused(rng):
    values = rng.normal(size=100)
    with_missing = np.append(values, [np.nan, np.nan])
    assert ks(values, with_missing)[0] == 0
    assert wasserstein(values, with_missing) == pytest.approx(0)
    with pytest.raises(ValueError, match="current: expected at least one value"):
        ks(values, [np.nan])


def test_counts_say_what_values_on_a_grid_say(rng):
    first, second = rng.integers(0, 8, 500), rng.integers(2, 8, 400)
    counts = [np.bincount(values, minlength=8) for values in (first, second)]
    assert ks_counts(*counts) == pytest.approx(ks(first, second)[0])
    assert wasserstein_counts(*counts, np.arange(8)) == pytest.approx(wasserstein(first, second))


def test_a_reference_without_spread():
    assert wasserstein([3, 3], [3, 3]) == 0
    assert wasserstein([3, 3], [3, 4]) == np.inf


def test_many_windows_at_once_are_as_one_by_one(rng):
    expected, windows = rng.integers(1, 50, BINS), rng.integers(0, 50, (5, BINS))
    for measure in (psi, jensen_shannon, ks_counts):
        together = measure(expected, windows)
        assert together == pytest.approx([measure(expected, one) for one in windows])


# What the sample's size does


def test_the_p_value_of_a_small_difference_falls_with_n_and_the_distances_do_not(rng):
    p_values, statistics, moved = [], [], []
    for size in (300, 3_000, 30_000, 300_000):
        first, second = rng.normal(size=size), rng.normal(0.05, size=size)
        statistic, p_value = ks(first, second)
        p_values.append(p_value)
        statistics.append(statistic)
        moved.append(wasserstein(first, second))
    assert p_values[0] > 0.05 and p_values[-1] < 1e-10
    assert statistics[-1] == pytest.approx(0.02, abs=0.005)
    assert moved[-1] == pytest.approx(0.05, abs=0.01)


def test_the_psi_of_samples_of_one_distribution_falls_like_one_over_n(rng):
    reference = np.full(BINS, 1e9)  # known exactly
    for size in (500, 5_000, 50_000):
        samples = rng.multinomial(size, np.full(BINS, 1 / BINS), size=2_000)
        assert psi(reference, samples).mean() == pytest.approx((BINS - 1) / size, rel=0.1)
