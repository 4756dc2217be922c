"""Lab 06's years are what the lab says of them, and what its prose says of one of them is so."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from checks.lab06_alarms import LENGTHS, START, Monitor, Prices, after_start, best, means
from checks.lab06_detective import TROUBLES, drawn, last_word
from checks.lab06_estimate import Year, estimate
from checks.lab06_labels import known
from checks.lab06_psi import psi
from checks.lab06_threshold import FRESH, Quiet, alarm_rate
from lessonkit.draw_log import LABELS, by_day, draw_by_day
from lessonkit.log_year import (
    AS_OF,
    ORIGINS,
    READINGS,
    ROWS_A_DAY,
    LogYear,
    Trouble,
    as_log,
    draw_year,
    make_year,
    plain_log,
    plan,
    seed_of,
    with_index,
)

SEEDS = range(6)


def of(seed: int, kind: str) -> Trouble:
    return next(trouble for trouble in plan(seed) if trouble.kind == kind)


def hit(table: pd.DataFrame, trouble: Trouble) -> pd.Series:
    return (table["day"] >= pd.Timestamp(trouble.first)) & (table["day"].dt.month == trouble.first.month)


@pytest.fixture(scope="module", params=SEEDS)
def year(request: pytest.FixtureRequest) -> tuple[int, LogYear]:
    return request.param, make_year(request.param)


def test_a_name_draws_a_year_whatever_its_capitals() -> None:
    assert seed_of("Learner  Seven ") == seed_of("learner seven") != seed_of("learner eight")
    one, two = draw_year("Learner Seven"), draw_year("learner seven")
    pd.testing.assert_frame_equal(one.log, two.log)
    pd.testing.assert_frame_equal(one.labels, two.labels)
    assert not one.log.equals(draw_year("learner eight").log)


def test_four_troubles_in_four_months_and_some_months_of_each_season_left_alone() -> None:
    seen = set()
    for seed in range(200):
        troubles = plan(seed)
        months = {trouble.first.month for trouble in troubles}
        assert [trouble.kind for trouble in troubles] == ["unit", "missing", "concept", "mix"] and len(months) == 4
        assert all(4 <= trouble.first.day <= 15 and trouble.cause in TROUBLES for trouble in troubles)
        assert {2, 7, 8} - months and {4, 10, 11} - months
        seen |= {(trouble.kind, trouble.target, trouble.origin) for trouble in troubles}
    assert len(seen) == 2 + 9 + 3 + 4  # every reading, airport and group comes


def test_both_years_have_the_same_columns_and_as_many_flights_a_day(year: tuple[int, LogYear]) -> None:
    _, logs = year
    assert list(logs.last_year.columns) == [*logs.log.columns, "late"]
    for table, first in ((logs.last_year, 2013), (logs.log, 2014)):
        assert set(table.groupby("day").size()) == {ROWS_A_DAY} and table["day"].nunique() == 365
        assert table["day"].iloc[0] == pd.Timestamp(first, 1, 1) and table["request_id"].is_unique


def test_probabilities_are_right_where_nothing_went_wrong(year: tuple[int, LogYear]) -> None:
    seed, logs = year
    last = logs.last_year
    assert abs(last["late"].mean() - last["probability"].mean()) < 0.01
    wrong = pd.Series(last_word(logs.labels, logs.log["request_id"])) - logs.log["probability"]
    month = logs.log["day"].dt.month
    calm = set(range(1, 13)) - {trouble.first.month for trouble in plan(seed)}
    assert all(abs(wrong[month == one].mean()) < 0.05 for one in calm)
    concept = of(seed, "concept")
    there = hit(logs.log, concept) & (logs.log["origin"] == concept.origin)
    assert wrong[there].mean() > 0.25
    assert abs(wrong[hit(logs.log, concept) & (logs.log["origin"] != concept.origin)].mean()) < 0.08
    assert abs(wrong[hit(logs.log, of(seed, "mix"))].mean()) < 0.06


def test_faults_are_where_and_when_the_plan_says(year: tuple[int, LogYear]) -> None:
    seed, logs = year
    gone = of(seed, "missing")
    there = hit(logs.log, gone) & (logs.log["origin"] == gone.origin)
    assert logs.log.loc[there, gone.target].isna().all()
    unit = of(seed, "unit")
    now, then = (table[table["day"].dt.month == unit.first.month] for table in (logs.log, logs.last_year))
    outside = (now[unit.target] < then[unit.target].min()) | (now[unit.target] > then[unit.target].max())
    assert outside[hit(now, unit)].mean() > 0.5 and outside[~hit(now, unit)].mean() < 0.3


def test_the_world_of_a_behaviour_change_is_asked_about_otherwise(year: tuple[int, LogYear]) -> None:
    seed, logs = year
    mix = of(seed, "mix")
    mine = logs.log["hour"] >= 17 if mix.target == "evening" else logs.log["carrier"] == mix.target
    there = hit(logs.log, mix)
    assert mine[there].mean() > mine[~there].mean() + 0.3
    month = logs.log["day"].dt.month == mix.first.month
    before = logs.last_year[logs.last_year["day"].dt.month == mix.first.month]
    assert abs(logs.log.loc[month, "visibility"].mean() - before["visibility"].mean()) < 1.5


def test_labels_come_late_twice_wrong_and_never(year: tuple[int, LogYear]) -> None:
    _, logs = year
    labels = logs.labels
    assert labels["known_on"].is_monotonic_increasing and labels["known_on"].max() < pd.Timestamp(AS_OF)
    mine = labels["request_id"].isin(logs.log["request_id"])
    assert 0 < (~mine).sum() < 400
    several = labels[mine].groupby("request_id")["late"].agg(["size", "nunique"])
    assert (several["nunique"] == 2).sum() > 200 and (several["size"] == 2).sum() > 600
    assert 0.03 < 1 - len(several) / len(logs.log) < 0.07
    joined = labels[mine].merge(logs.log[["request_id", "day"]])
    wait = (joined["known_on"] - joined["day"]).dt.days
    assert wait[joined["late"]].mean() > wait[~joined["late"]].mean() + 2 and wait.max() <= 28
    few = logs.log.head(300)
    assert np.array_equal(known(few, labels, AS_OF), last_word(labels, few["request_id"]), equal_nan=True)


def test_a_log_survives_its_journey(year: tuple[int, LogYear]) -> None:
    _, logs = year
    for table in (logs.log, logs.last_year, logs.labels):
        pd.testing.assert_frame_equal(as_log(plain_log(table)), table)
    few = logs.log.head(3)
    mixed = with_index(few, [2, 0, 1])
    assert mixed.index.tolist() == [2, 0, 1] and few.index.tolist() == [0, 1, 2]
    assert mixed["request_id"].tolist() == few["request_id"].tolist()


def test_the_check_knows_which_months_are_season_and_lets_pass_what_lies_between() -> None:
    always = {month: set() for month in range(1, 13)}
    for seed in range(20):
        for month, right in drawn(seed, quiet=True).calm.items():
            always[month] |= right
    assert all(always[month] == {"season"} for month in (7, 8))
    assert all("season" not in always[month] or always[month] == {"season", "nothing"} for month in (4, 10))
    assert not drawn(3, quiet=True).troubles and len(drawn(3).troubles) == 4


def test_psi_is_the_worked_example_of_the_task() -> None:
    before, after = np.repeat([5.0, 15.0], [2, 2]), np.repeat([5.0, 15.0], [1, 3])
    assert round(psi(before, after, np.array([10.0])), 4) == 0.2747


def test_quiet_monitors_have_checks_that_rise_together_and_a_known_rate() -> None:
    rng = np.random.default_rng(0)
    monitor = Quiet.draw(rng)
    windows = monitor.windows(rng, FRESH)
    assert np.corrcoef(windows.T)[0, 1] > 0.15
    each = np.quantile(windows, 0.99, axis=0)
    assert 0.02 < alarm_rate(each, windows) < 0.08  # more than one check's 0.01, less than the sum of all


def test_the_estimate_is_what_comes_in_the_mean() -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    rng = np.random.default_rng(1)
    p = Year.draw(rng).probability[:1_500].round(2)
    drawn_ = [rng.random(len(p)) < p for _ in range(300)]
    right = estimate(p)
    assert np.mean([log_loss(late, p) for late in drawn_]) == pytest.approx(right["log_loss"], abs=0.003)
    assert np.mean([roc_auc_score(late, p) for late in drawn_]) == pytest.approx(right["roc_auc"], abs=0.003)


def test_a_dearer_alarm_is_answered_by_fewer_of_them() -> None:
    rng = np.random.default_rng(2)
    monitor = Monitor.draw(rng)
    quiet, drifted = monitor.quiet(rng, 40), monitor.drifted(rng, 60, START)
    assert all(length <= START for length in LENGTHS)
    assert means(quiet, 7).shape == (40, 359) and np.isclose(means(quiet, 7)[0, 0], quiet[0, :7].mean())
    assert np.isclose(after_start(drifted, 7, START)[0, 0], drifted[0, START - 6 : START + 1].mean())
    never = Prices(1.0, 1.0).cost(means(quiet, 1), after_start(drifted, 1, START), limit=1e9)
    assert never == 4 * (120 - START)
    assert best(quiet, drifted, START, Prices(1.0, 1.0)) < best(quiet, drifted, START, Prices(50.0, 1.0)) < never


def test_the_other_year_is_the_one_the_prose_tells_of() -> None:
    troubles = {trouble.first.month: trouble.kind for trouble in plan(seed_of("somebody else"))}
    assert troubles == {3: "unit", 4: "concept", 8: "mix", 12: "missing"}


def test_a_drawing_shows_both_years_day_by_day() -> None:
    logs = make_year(5)
    late = last_word(logs.labels, logs.log["request_id"])
    daily = by_day(logs.log, late)
    first = logs.log[logs.log["day"] == "2014-01-01"]
    assert daily.shape == (365, len(LABELS)) and np.isclose(daily["wind_speed"].iloc[0], first["wind_speed"].mean())
    gone = of(5, "missing")
    rest = daily.loc[gone.first.timetuple().tm_yday + 1, "missing"]
    assert rest > 0.15 and set(READINGS) < set(daily) and gone.origin in ORIGINS
    before = set(plt.get_fignums())
    with plt.ioff():
        draw_by_day(logs.log, logs.last_year, late)
    for number in set(plt.get_fignums()) - before:
        lines = plt.figure(number).axes[0].get_lines()
        assert np.allclose(lines[1].get_ydata(), daily["temperature"], equal_nan=True)
        plt.close(number)
