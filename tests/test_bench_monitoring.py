"""The years of bench/monitoring.py, how its alarms are counted, and what it makes of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from bench import monitoring, pages
from bench.monitors.adwin import ERROR, Adwin
from bench.monitors.alarms import QUIET, Names, first_raised, median_delay, raised
from bench.monitors.days import NONE, Days, Rows, make_days
from bench.monitors.nannyml_weeks import ENVIRONMENT, NannymlWeeks
from bench.monitors.watching import Watched, watch_daily, watch_weekly
from bench.monitors.years import BEFORE, FOLLOWED, FROM, POOL, WEEK, Labels, Window, Year, drawn_years, real_year
from flight_delays.export import train_bundle
from flight_delays.features import CATEGORIES, NAMES
from flight_delays.flights import load_flights
from labkit.environment import ROOT, Environment

A, B = frozenset({"a"}), frozenset({"a", "b"})


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    flights = load_flights().iloc[::10]
    return make_days(flights, train_bundle(tmp_path_factory.mktemp("model"), date(2013, 6, 30), flights))


@pytest.fixture(scope="module")
def year(days: Days) -> Year:
    return next(drawn_years(days, 0, 1, seed=1))


# How alarms are counted


@pytest.mark.parametrize(
    ("alarms", "before", "days"),
    [
        ([QUIET, A, A, QUIET, A], QUIET, [1, 4]),
        ([A, A], A, []),  # in force before: nobody is called again
        ([A, B], A, [1]),  # another name is
        ([A, B, QUIET, A], QUIET, [0, 3]),  # raised on two days in a row is one
        ([], QUIET, []),
    ],
)
def test_an_alarm_is_raised_on_the_day_a_name_is_new(alarms: list[Names], before: Names, days: list[int]) -> None:
    assert raised(alarms, before) == days
    assert first_raised(alarms, before) == (days[0] if days else None)


def test_a_miss_is_later_than_any_delay() -> None:
    assert median_delay([3, None, 1]) == 3
    assert median_delay([3, None, None]) is None
    assert median_delay([2, 5]) == 3.5
    assert median_delay([2, None]) is None


# The years


def test_a_year_is_whole_weeks_of_the_pool_in_pairs_that_followed_one_another(days: Days, year: Year) -> None:
    first = (POOL[0] - days.first).days
    for numbers in (year.reference, year.course):
        weeks = [numbers[start : start + WEEK] for start in range(0, len(numbers), WEEK)]
        assert all(week == tuple(range(week[0], week[0] + WEEK)) for week in weeks)
        assert all(later[0] == week[0] + WEEK for week, later in zip(weeks[::2], weeks[1::2], strict=True))
        assert {(week[0] - first) % WEEK for week in weeks} == {0}
        assert first <= min(numbers) and max(numbers) < first + POOL[1] * WEEK
    assert year.date_of(0).weekday() == 0 and len(year) == 364
    assert FROM <= year.injected_on < BEFORE


def test_years_differ_by_seed_and_reference_and_are_drawn_again_the_same(days: Days) -> None:
    years = [next(drawn_years(days, number, 1, seed)) for number in range(2) for seed in (1, 2)]
    assert len(set(years)) == 4
    assert list(drawn_years(days, 0, 3, 1)) == list(drawn_years(days, 0, 3, 1))
    assert len({one.reference for one in drawn_years(days, 0, 3, 1)}) == 1  # learned from once


def test_the_year_as_it_was_follows_its_reference(days: Days) -> None:
    year = real_year(days)
    assert year.date_of(0) == POOL[0] == days.first + timedelta(days=year.course[0])
    assert year.reference[-1] + 1 == year.course[0]


def test_an_injection_begins_on_its_day(days: Days, year: Year) -> None:
    changed = year.with_injection("unit, strong")
    at = NAMES.index("temperature")
    for position in (year.injected_on - 1, year.injected_on):
        before, after = (one.rows(days, position).matrix[:, at] for one in (year, changed))
        same = np.array_equal(before, after, equal_nan=True)
        assert same == (position < year.injected_on)
        assert same or np.allclose(after, (before - 32) / 1.8, atol=1e-3, equal_nan=True)
    week, since = divmod(year.injected_on, WEEK)
    assert changed.windows()[week] == Window(year.course[week * WEEK], "unit, strong", since)
    assert changed.windows()[week - 1] == year.windows()[week - 1]
    assert changed.windows()[week + 1] == Window(year.course[week * WEEK + WEEK], "unit, strong", 0)
    rows = changed.windows()[week].rows(days)
    each = [changed.rows(days, week * WEEK + day) for day in range(WEEK)]
    np.testing.assert_array_equal(rows.matrix, Rows.together(each).matrix)


def test_every_injection_changes_what_it_says_and_nothing_before_the_pool(days: Days) -> None:
    start = (POOL[0] - days.first).days
    base = [days.variants[NONE].day(number) for number in range(start, start + WEEK)]
    for name in days.injections:
        changed = [days.variants[name].day(number) for number in range(start, start + WEEK)]
        same = [
            len(one) == len(other)
            and np.array_equal(one.matrix, other.matrix, equal_nan=True)
            and np.array_equal(one.late, other.late)
            for one, other in zip(base, changed, strict=True)
        ]
        assert not all(same), name
        assert len(days.variants[name].day(start - 1)) == 0
        labels_only = name.startswith("concept")
        late = [np.array_equal(one.late, other.late) for one, other in zip(base, changed, strict=True)]
        assert all(late) != (labels_only or "mix, strong" in name), name


def test_each_label_comes_once_two_to_seven_days_after_its_flight(days: Days, year: Year) -> None:
    came = [year.labels(days, position) for position in range(30)]
    first = np.datetime64(year.date_of(0), "D")
    for position, labels in enumerate(came):
        waited = (first + position - labels.day).astype(int)
        assert not len(waited) or (waited.min() >= 2 and waited.max() <= 7)
        assert len(labels.day) == len(labels.late) == len(labels.matrix) == len(labels.probabilities)
    of_day_ten = sum(int((labels.day == first + 10).sum()) for labels in came)
    assert of_day_ten == len(year.rows(days, 10))
    late = sum(int(labels.late[labels.day == first + 10].sum()) for labels in came)
    assert late == year.rows(days, 10).late.sum()


def test_the_table_of_a_reference_has_its_days_one_after_the_other(days: Days, year: Year) -> None:
    table = days.table(year.reference, year.first)
    found = table["departure"].dt.date
    assert (found.min(), found.max()) == (year.first, year.date_of(0) - timedelta(days=1))
    assert (table["departure"].dt.dayofweek == table["weekday"]).all()
    assert len(table) == len(year.reference_rows(days))
    assert table["late"].sum() == year.reference_rows(days).late.sum()


def test_a_frame_shows_what_the_matrix_holds(days: Days, year: Year) -> None:
    rows = year.with_injection("missing, strong").rows(days, year.injected_on)
    vocabulary = days.load().vocabulary
    table = days.frame(rows, vocabulary)
    for name in CATEGORIES:
        codes = table[name].map(vocabulary[name]).fillna(-1)
        np.testing.assert_array_equal(codes, rows.matrix[:, NAMES.index(name)])
    assert table["temperature"].isna().mean() > 0.3
    np.testing.assert_array_equal(table["prediction"].astype(np.float32), rows.probabilities)


# How a monitor is led


@dataclass
class Scripted:
    """In alarm while no temperature of a day is above 50; counts what it is told."""

    told: int = 0
    copies: int = 0

    def day(self, day: date, rows: Rows, labels: Labels) -> Names:
        self.told += 1
        return A if np.nanmax(rows.matrix[:, NAMES.index("temperature")]) < 50 else QUIET

    def copy(self) -> Scripted:
        self.copies += 1
        return replace(self)


def test_a_daily_monitor_is_led_through_the_year_once_and_on_with_each_injection(days: Days) -> None:
    summer = tuple(range(181, 195))  # of July: in Celsius none is that warm
    year = Year(summer, summer * 2, injected_on=9)
    monitor = Scripted()
    told = watch_daily(monitor, days, year, ["unit, strong", "unit, weak"])
    assert told == Watched([], 28, 0, None, {"unit, strong": 0, "unit, weak": None})
    assert (monitor.told, monitor.copies) == (28, 1)


class Weeks:
    """In alarm on whole weeks with an injection, and on one Monday's without."""

    def __init__(self, monday: int) -> None:
        self.monday = monday

    def judge(self, window: Window) -> Names:
        changed = window.injection == "mix, weak" and window.since == 0
        return A if changed or (window.injection == NONE and window.monday == self.monday) else QUIET


def test_a_monitor_of_weeks_speaks_on_sunday_and_its_alarm_stays_until_the_next() -> None:
    course = tuple(range(1000, 1000 + 10 * WEEK))
    year = Year((), course, injected_on=5 * WEEK + 2)  # a Wednesday: the first whole week is the seventh
    told = watch_weekly(Weeks(1000 + WEEK), year, ["mix, weak", "stuck, weak"])
    assert told.false_alarms == [2 * WEEK - 1]
    assert (told.days, told.in_alarm, told.chance) == (70, WEEK, None)
    assert told.delays == {"mix, weak": 6 * WEEK + 6 - year.injected_on, "stuck, weak": None}


def test_an_alarm_that_stands_already_announces_nothing() -> None:
    course = tuple(range(1000, 1000 + 4 * WEEK))
    year = Year((), course, injected_on=WEEK)

    class Always(Weeks):
        def judge(self, window: Window) -> Names:
            return A

    told = watch_weekly(Always(0), year, ["mix, weak"])
    assert told.false_alarms == [WEEK - 1] and told.delays == {"mix, weak": None}


# The monitors


def labels_of(wrong: np.ndarray) -> Labels:
    nothing = np.zeros((len(wrong), len(NAMES)), np.float32)
    day = np.full(len(wrong), np.datetime64("2014-01-06"))
    return Labels(day, nothing, np.where(wrong, 0.9, 0.1), np.zeros(len(wrong), bool))


def test_adwin_is_told_of_errors_and_a_copy_goes_its_own_way(days: Days, year: Year) -> None:
    rng = np.random.default_rng(0)
    monitor, rows = Adwin(threshold=0.25), year.rows(days, 0)
    quiet = [monitor.day(date(2014, 1, 6), rows, labels_of(rng.random(500) < 0.2)) for _ in range(10)]
    assert set(quiet) == {QUIET}
    other = monitor.copy()
    assert ERROR in [other.day(date(2014, 1, 6), rows, labels_of(rng.random(500) < 0.6)) for _ in range(3)]
    assert monitor.day(date(2014, 1, 6), rows, labels_of(rng.random(500) < 0.2)) == QUIET


def test_evidently_is_asked_for_the_verdict_of_its_preset(days: Days, year: Year) -> None:
    from bench.monitors.evidently_preset import DATASET, EvidentlyPreset

    preset = EvidentlyPreset(days, year)
    window = year.window(0)
    share = preset.share(window.rows(days))
    assert share == preset.share(window.rows(days), whole=True)  # with all its metrics
    assert preset.judge(window) == (DATASET if share >= 0.5 else QUIET)


def test_ours_finds_celsius_at_once_and_shares_what_it_learned(days: Days) -> None:
    from bench.monitors.ours import Ours

    year = next(drawn_years(days, 0, 1, seed=1))
    monitor = Ours.fit(days, year)
    changed = replace(year.with_injection("unit, strong"), injected_on=20)
    for position in range(20):
        before = monitor.day(year.date_of(position), year.rows(days, position), year.labels(days, position))
    other = monitor.copy()
    assert other._monitor.reference is monitor._monitor.reference
    after = other.day(year.date_of(20), changed.rows(days, 20), changed.labels(days, 20))
    assert "quality" in after - before or "drift" in after - before


def test_nannyml_judges_weeks_in_its_own_environment(days: Days, year: Year) -> None:
    name, lock = ENVIRONMENT
    env = Environment.beside(ROOT, lock)
    env = replace(env, folder=ROOT / name, python=ROOT / name / env.python.relative_to(env.folder))
    if not env.ready():
        pytest.skip(f"{name} is not there or not up to date: make bench-monitoring makes it")
    windows = [*year.windows()[:3], *year.with_injection("unit, strong").windows()[-3:]]
    weeks = NannymlWeeks.ask(env.python, days, year, windows)
    found = [weeks.judge(window) for window in windows]
    assert all("temperature" in names for names in found[3:])
    assert all("temperature" not in names for names in found[:3])
    drift, estimated = weeks.part(False), weeks.part(True)
    assert [drift.judge(window) | estimated.judge(window) for window in windows] == found


# What is made of it


def watched(false: int, chance: int | None, **delays: int | None) -> Watched:
    return Watched([0] * false, 365, 10, chance, dict(delays))


def rows_of(**seen: list[Watched]) -> list[monitoring.Row]:
    return monitoring.rows_of(seen, ["mix"], dict.fromkeys(seen, ""))


def test_a_row_holds_rates_medians_and_misses() -> None:
    rows = rows_of(ours=[watched(1, None, mix=3), watched(2, 5, mix=None), watched(0, None, mix=1)])
    found = {row.injection: row for row in rows}
    assert list(found) == ["all", "mix", "none"]
    assert found["mix"].false_alarms_per_year == 1 and found["mix"].in_alarm_share == 0.027
    assert (found["mix"].median_delay_days, found["mix"].missed, found["mix"].years) == (3, 1, 3)
    assert (found["none"].median_delay_days, found["none"].missed) == (None, 2)


def test_what_was_not_measured_is_none_and_says_why() -> None:
    rows = monitoring.rows_of({}, ["mix"], {"nannyml": "no package index could be reached"})
    assert {row.note for row in rows} == {"no package index could be reached"}
    assert {row.median_delay_days for row in rows} == {row.false_alarms_per_year for row in rows} == {None}
    assert monitoring.table(rows).splitlines()[1].split() == ["all", "-"]
    assert monitoring.summary(rows) == {}


def test_the_summary_holds_ours_against_the_best_of_each() -> None:
    few, soon = [watched(1, None, mix=None)], [watched(9, 2, mix=2)]
    ours = [watched(1, None, mix=2)]
    told = monitoring.summary(rows_of(ours=ours, evidently=few, adwin=soon))
    assert told["no more false alarms than the fewest"] and told["no longer median delay than the soonest"]
    assert told["median delay over all injections, soonest of the others"] == 2
    later = monitoring.summary(rows_of(ours=[watched(2, None, mix=3)], evidently=few, adwin=soon))
    assert not later["no more false alarms than the fewest"]
    assert not later["no longer median delay than the soonest"]
    never = monitoring.summary(rows_of(ours=[watched(0, None, mix=None)], evidently=few))
    assert never["no longer median delay than the soonest"] is False


def test_the_page_tells_every_monitor_and_injection() -> None:
    rows = rows_of(ours=[watched(0, None, mix=2)], adwin=[watched(3, 1, mix=None)], nannyml=[])
    real = [monitoring.Real("ours", "this", []), monitoring.Real("adwin", "ADWIN", ["2013-07-06"])]
    real.append(monitoring.Real("nannyml", "NannyML"))
    stored = {"options": {"references": 1, "followed_days": 182}, "rows": [asdict(row) for row in rows]}
    told = pages.monitoring(stored | {"real": [asdict(one) for one in real]})
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in told.split("\n")[2:-1]
    }
    assert lines["**false alarms a year**"] == ["0", "3", "-"]
    assert lines["mix"] == ["2", "never (1)", "-"]
    assert lines["nothing: an alarm by luck"] == ["never (1)", "1", "-"]
    assert lines["alarms, July to December as it was"] == ["0", "1", "-"]


def test_some_monitors_can_be_measured_anew() -> None:
    stored = rows_of(ours=[watched(5, None, mix=9)], adwin=[watched(1, 1, mix=1)])
    rows = monitoring.joined(rows_of(ours=[watched(0, None, mix=2)]), stored)
    assert [(row.key, row.injection) for row in rows] == [(row.key, row.injection) for row in stored]
    assert {row.false_alarms_per_year for row in rows if row.key == "ours"} == {0}
    assert {row.false_alarms_per_year for row in rows if row.key == "adwin"} == {1}


def test_a_trial_names_monitors_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        monitoring.main(["--only", "ours,nagios"])
    assert "there is no monitor nagios; there are ours, evidently" in capsys.readouterr().err


def test_an_update_wants_the_years_that_are_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stored.json"
    for options in (["--update", "ours", "--years", "2"], ["--update", "ours", "--out", str(path)]):
        with pytest.raises(SystemExit):
            monitoring.main(options)
    told = capsys.readouterr().err
    assert "name the file of these years by --out" in told
    assert "measured on other years" in told


def test_the_stored_figures_fit_the_bench(days: Days) -> None:
    path = monitoring.STORED
    assert path.exists(), "the figures are missing: make bench-monitoring"
    stored = monitoring.read(path)
    rows = stored["rows"]
    assert stored["summary"] == monitoring.summary(rows)
    assert stored["options"] == monitoring.made_of(monitoring.parsed([])[0])
    wanted = {(key, name) for key in monitoring.MONITORS for name in ("all", *days.injections, NONE)}
    assert {(row.key, row.injection) for row in rows} == wanted
    assert {row.years for row in rows if row.injection == NONE} == {monitoring.REFERENCES * monitoring.YEARS}
    assert [row.key for row in stored["real"]] == list(monitoring.MONITORS)
    assert stored["options"]["followed_days"] == FOLLOWED
    assert json.loads(path.read_text(encoding="utf-8"))["options"]["seed"] != monitoring.TUNING
