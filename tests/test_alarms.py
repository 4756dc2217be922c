"""The curve of false alarms against days unseen, on figures whose answer is known."""

from __future__ import annotations

import numpy as np

from lessonkit.alarms import choose, cost_curve, moving_mean, weeks_again


def test_years_are_made_of_whole_weeks_of_the_stretch() -> None:
    drawn = weeks_again(30, 5, np.random.default_rng(0))
    assert drawn.shape == (5, 365) and drawn.min() >= 0 and drawn.max() <= 29
    inside = np.diff(drawn[:, :364].reshape(5, 52, 7), axis=2)
    assert (inside == 1).all()


def test_moving_mean_is_that_of_each_stretch() -> None:
    values = np.random.default_rng(0).random((3, 20, 2))
    found = moving_mean(values, 7)
    assert found.shape == (3, 14, 2)
    assert np.allclose(found[1, 4], values[1, 4:11].mean(axis=0))


def test_a_large_change_is_seen_at_once_and_a_small_one_late_at_the_same_price() -> None:
    rng = np.random.default_rng(0)
    calm = rng.normal(size=(50, 365))
    curves = {shift: cost_curve(calm, rng.normal(shift, size=(50, 365)), 7) for shift in (0.3, 3.0)}
    small, large = (choose(curve, 1.0) for curve in curves.values())
    assert small["alarms_a_year"] == large["alarms_a_year"] <= 1
    assert large["days_unseen"] <= 7 < small["days_unseen"]


def test_fewer_false_alarms_never_come_with_a_shorter_delay() -> None:
    rng = np.random.default_rng(1)
    curve = cost_curve(rng.normal(size=(30, 365)), rng.normal(0.5, size=(30, 365)), 7).sort_values("limit")
    assert curve["days_unseen"].is_monotonic_increasing
    assert curve["alarms_a_year"].iloc[0] > curve["alarms_a_year"].iloc[-1]


def test_of_several_figures_the_one_that_moved_is_noticed() -> None:
    rng = np.random.default_rng(2)
    calm, changed = (rng.normal(size=(30, 365, 4)) for _ in range(2))
    changed[:, :, 2] += 3
    assert choose(cost_curve(calm, changed, 7), 1.0)["days_unseen"] <= 7


def test_where_no_limit_is_high_enough_the_highest_is_chosen() -> None:
    curve = cost_curve(np.zeros((2, 365)), np.ones((2, 365)), 7)
    curve["alarms_a_year"] = 5.0
    assert choose(curve, 1.0)["limit"] == curve["limit"].max()
