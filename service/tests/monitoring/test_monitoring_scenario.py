"""Injections: the same on any part of the table, only where they say, and told by name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flight_delays.features import NAMES, encode, learn_vocabulary
from flight_delays.flights import columns_of
from flight_delays.monitoring.scenario import (
    KEY,
    Scenario,
    ScenarioError,
    apply,
    draw,
    read_scenario,
)

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))
FIRST, LAST = date(2013, 7, 8), date(2013, 7, 14)


@pytest.fixture(scope="module")
def july(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["departure"].dt.month == 7]


def scenario(**injection: object) -> Scenario:
    days = {"name": "a test", "first": FIRST, "last": LAST}
    return Scenario.model_validate({"injection": [days | injection]})


def touched(before: pd.DataFrame, after: pd.DataFrame, column: str) -> pd.Series:
    """Which flights differ in a column; two missing values are the same."""
    one, other = before[column].astype(object), after[column].astype(object)
    return ~((one == other) | (one.isna() & other.isna()))


def week(table: pd.DataFrame) -> pd.Series:
    days = table["departure"].dt.date
    return (days >= FIRST) & (days <= LAST)


CONCEPT = {"kind": "concept", "where": {"origin": ["EWR"], "hours": [6, 9]}, "becomes_late": 0.5}


def test_concept_changes_labels_of_the_named_flights_alone(july):
    after = apply(july, scenario(**CONCEPT))
    changed = touched(july, after, "late")
    named = week(july) & (july["origin"] == "EWR") & july["departure"].dt.hour.between(6, 9)
    assert not changed[~named].any()
    punctual = named & ~july["late"]
    assert changed[punctual].mean() == pytest.approx(0.5, abs=0.05)
    assert not changed[named & july["late"]].any()
    assert (after["late"] == (after["arrival_delay"] >= 15)).all()
    assert after["arrival_delay"].max() <= max(120, july["arrival_delay"].max())
    pd.testing.assert_frame_equal(after[list(NAMES)], july[list(NAMES)])


def test_concept_the_other_way(july):
    after = apply(july, scenario(kind="concept", becomes_punctual=1.0))
    assert not after["late"][week(july)].any()
    assert (after["late"] == (after["arrival_delay"] >= 15)).all()


def test_unit_and_the_label_stays(july):
    celsius = {"feature": "temperature", "factor": 5 / 9, "offset": -160 / 9}
    after = apply(july, scenario(kind="unit", **celsius))
    rows = week(july)
    expected = (july["temperature"][rows] - 32) * 5 / 9
    np.testing.assert_allclose(after["temperature"][rows], expected, atol=1e-4)
    pd.testing.assert_frame_equal(after[~rows], july[~rows])
    pd.testing.assert_series_equal(after["late"], july["late"])


def test_missing(july):
    after = apply(july, scenario(kind="missing", features=["pressure", "carrier"], share=0.3))
    rows = week(july)
    for name in ("pressure", "carrier"):
        new = after[name].isna() & ~july[name].isna()
        assert not new[~rows].any()
        assert new[rows & ~july[name].isna()].mean() == pytest.approx(0.3, abs=0.03)
    gone = after["carrier"].isna()[rows]
    assert after["pressure"][rows][gone].isna().all()  # both of one flight


def test_stuck_at_the_last_value_before(july):
    after = apply(july, scenario(kind="stuck", feature="humidity"))
    rows = week(july)
    for origin in ("EWR", "JFK", "LGA"):
        here = july[(july["origin"] == origin) & (july["departure"] < pd.Timestamp(FIRST))]
        last = here.sort_values("departure")["humidity"].dropna().iloc[-1]
        assert set(after["humidity"][rows & (july["origin"] == origin)]) == {last}
    with pytest.raises(ValueError, match=r"a test: value: humidity has no reading at"):
        apply(july[rows], scenario(kind="stuck", feature="humidity"))
    fixed = apply(july[rows], scenario(kind="stuck", feature="humidity", value=50.0))
    assert set(fixed["humidity"]) == {50.0}


def test_mix_moves_flights(july):
    rows = week(july)
    after = apply(july, scenario(kind="mix", to={"carrier": "ZZ"}, share=0.5))
    assert (after["carrier"][rows] == "ZZ").mean() == pytest.approx(0.5, abs=0.03)
    assert not (after["carrier"][~rows] == "ZZ").any()

    later = apply(july, scenario(kind="mix", minutes=180, where={"hours": [6, 9]}))
    moved = touched(july, later, "departure_minute")
    assert moved.equals(rows & july["departure"].dt.hour.between(6, 9))
    minute = later["departure"].dt.hour * 60 + later["departure"].dt.minute
    assert (minute == later["departure_minute"]).all()

    fewer = apply(july, scenario(kind="mix", drop=True, where={"hours": [0, 15]}))
    gone = ~july.index.isin(fewer.index)
    assert gone.tolist() == (rows & (july["departure"].dt.hour < 16)).tolist()
    pd.testing.assert_frame_equal(fewer, july[~gone])


def test_a_flight_is_drawn_the_same_way_in_any_part_of_the_table(july):
    whole = apply(july, scenario(**CONCEPT))
    part = july[week(july)].sample(2_000, random_state=1)
    alone = apply(part, scenario(**CONCEPT))
    pd.testing.assert_series_equal(alone["late"], whole.loc[part.index, "late"])
    renamed = part.assign(carrier=part["carrier"].cat.set_categories(["UA", *reversed("ABC")]))
    one = draw(part[part["carrier"] == "UA"], "a purpose")
    assert (draw(renamed[part["carrier"] == "UA"], "a purpose") == one).all()


def test_draws_are_uniform_and_differ_by_purpose(july):
    one, other = draw(july, "one"), draw(july, "other")
    assert one.min() >= 0 and one.max() < 1
    np.testing.assert_allclose(np.quantile(one, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.01)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02


def test_a_table_whose_index_repeats_itself(july):
    """As of a year drawn from blocks of days."""
    twice = pd.concat([july.head(500), july.head(500)])
    changed = apply(
        twice,
        Scenario.model_validate(
            {
                "injection": [
                    {
                        "name": "all",
                        "kind": "concept",
                        "becomes_late": 1.0,
                        "first": date(2013, 7, 1),
                        "last": date(2013, 7, 31),
                    }
                ]
            }
        ),
    )
    assert changed["late"].all()
    assert changed.index.equals(twice.index)


def test_injections_follow_each_other_and_draw_from_the_schedule_as_flown(july):
    both = Scenario.model_validate(
        {
            "injection": [
                {"name": "later", "kind": "mix", "minutes": 60, "first": FIRST, "last": LAST},
                {"name": "a test", "first": FIRST, "last": LAST} | CONCEPT | {"where": {}},
            ]
        }
    )
    alone = apply(july, scenario(**CONCEPT | {"where": {}}))
    pd.testing.assert_series_equal(apply(july, both)["late"], alone["late"])


def test_a_value_that_the_service_refuses(july):
    with pytest.raises(ValueError, match=r"a test: pressure: expected numbers from 850 to 1100"):
        apply(july, scenario(kind="unit", feature="pressure", factor=0.02953))


@pytest.mark.parametrize(
    ("injection", "fault"),
    [
        ({"kind": "flood"}, "injection.0: Input tag 'flood' found using 'kind'"),
        ({"kind": "concept"}, "becomes_late: expected this or becomes_punctual above 0"),
        ({"kind": "unit", "feature": "temperature"}, "factor: expected another factor than 1"),
        ({"kind": "unit", "feature": "temprature", "factor": 2.0}, "injection.0.unit.feature"),
        ({"kind": "missing", "features": ["distance"]}, "injection.0.missing.features.0"),
        ({"kind": "mix"}, "to: expected one of to, minutes and drop"),
        ({"kind": "mix", "drop": True, "share": 1.5}, "injection.0.mix.share"),
        ({"kind": "mix", "drop": True, "last": date(2013, 7, 1)}, "first: expected a day up to"),
        ({"kind": "mix", "drop": True, "where": {"gate": ["A"]}}, "injection.0.mix.where.gate"),
    ],
)  # fmt: skip
def test_faults_of_a_file(injection, fault, tmp_path):
    table = {"name": "a test", "first": FIRST, "last": LAST} | injection
    path = tmp_path / "wrong.toml"
    path.write_text("[[injection]]\n" + "\n".join(f"{k} = {_toml(v)}" for k, v in table.items()))
    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)
    assert str(caught.value).startswith("wrong.toml: injection.0")
    assert fault in str(caught.value)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
        case str():
            return f'"{value}"'
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


def test_a_file_that_is_not_there_or_no_toml(tmp_path):
    with pytest.raises(ScenarioError, match=r"none\.toml: not found in"):
        read_scenario(tmp_path / "none.toml")
    (tmp_path / "wrong.toml").write_text("[[injection")
    with pytest.raises(ScenarioError, match=r"wrong\.toml: "):
        read_scenario(tmp_path / "wrong.toml")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_of_the_project(path, flights):
    """Each is sound, says that it is injected, and makes flights that the service takes."""
    found = read_scenario(path)
    assert all(line.startswith("injected ") for line in found.told())
    some = flights[flights["departure"] >= "2013-07-25"][::7]
    after = apply(some, found)
    columns = columns_of(after)
    assert encode(columns, learn_vocabulary(columns)).shape == (len(after), len(NAMES))
    before = some["departure"] < pd.Timestamp(min(one.first for one in found.injection))
    pd.testing.assert_frame_equal(
        after.loc[some.index[before]], some[before], check_categorical=False
    )
    assert not after[[*KEY, *NAMES, "late"]].equals(some[[*KEY, *NAMES, "late"]])
