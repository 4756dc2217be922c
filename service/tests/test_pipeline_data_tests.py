"""The data tests let every honest table of 2013 pass, and each fault is found by its own test."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from flight_delays.features import NAMES
from flight_delays.flights import split_by_day
from flight_delays.pipeline.data_tests import check_data
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import DataLimits

JULY_31 = date(2013, 7, 31)
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def table(window: pd.DataFrame) -> pd.DataFrame:
    """Every tenth flight of January to June."""
    return window[::10].reset_index(drop=True)


def failed(table: pd.DataFrame, **options) -> list[str]:
    return [finding.check for finding in check_data(table, as_of=JULY_31, **options).failed]


@pytest.mark.parametrize("month", range(2, 13))
def test_honest_tables_of_every_month_pass(flights, month):
    last = (pd.Timestamp(2013, month, 1) + pd.offsets.MonthEnd()).date()
    table, _ = split_by_day(flights[::3], last)
    findings = check_data(table, as_of=last)
    assert findings.passed, findings.reasons
    assert len(findings) == 15


def test_a_sample_of_an_honest_table_passes(table):
    assert failed(table) == []


def set_values(name: str, value: object, rows: Change | None = None) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        chosen = slice(None) if rows is None else rows(table)
        column = table[name].astype(object) if isinstance(value, str) else table[name].copy()
        column[chosen] = value
        return table.assign(**{name: column})

    return change


def june(table: pd.DataFrame) -> pd.Series:
    return table["departure"] >= "2013-06-01"


def on(day: str) -> Change:
    return lambda table: table["departure"].dt.date == date.fromisoformat(day)


def fill_in_afterwards(table: pd.DataFrame) -> pd.DataFrame:
    """A visibility that somebody corrected once the delays of the day were known."""
    corrected = np.where(table["late"], 1.0, table["visibility"]).astype(np.float32)
    return table.assign(visibility=corrected)


FAULTS: dict[str, tuple[Change, list[str]]] = {
    "a column is missing": (lambda t: t.drop(columns="humidity"), ["columns"]),
    "numbers as text": (
        lambda t: t.assign(temperature=t["temperature"].astype(str)),
        ["types of the columns"],
    ),
    "the label as a number": (
        lambda t: t.assign(late=t["late"].astype(float)),
        ["types of the columns"],
    ),
    "a time as text": (
        lambda t: t.assign(departure=t["departure"].astype(str)),
        ["types of the columns"],
    ),
    "empty": (lambda t: t[:0], ["flights"]),
    "stale": (lambda t: t[t["departure"] < "2013-06-01"], ["last day"]),
    "from the future": (
        lambda t: t.assign(departure=t["departure"] + pd.Timedelta(days=40)),
        ["last day"],
    ),
    "too short": (lambda t: t[t["departure"] >= "2013-06-10"], ["days"]),
    "a day without flights": (lambda t: t[~on("2013-05-14")(t)], ["days without flights"]),
    "a day cut short": (
        lambda t: t[~on("2013-05-14")(t) | (t.index % 12 == 0)],
        ["flights a day"],
    ),
    "a day twice": (
        lambda t: pd.concat([t, t[on("2013-05-14")(t)]]),
        ["flights that are there twice"],
    ),
    "a fill value": (
        set_values("temperature", np.float32(-9999), lambda t: t.index % 100 == 0),
        ["values that are possible"],
    ),
    "a number among the names": (
        lambda t: t.assign(carrier=t["carrier"].astype(object).where(t.index % 500 != 0, 7)),
        ["values that are possible"],
    ),
    "a feature from nowhere": (
        set_values("humidity", np.float32(np.nan), lambda t: t.index % 10 == 0),
        ["missing values"],
    ),
    "a sensor that fell silent lately": (
        set_values("pressure", np.float32(np.nan), lambda t: t["departure"] >= "2013-06-20"),
        ["missing values"],
    ),
    "a flight without a schedule": (
        set_values("departure_minute", np.float32(np.nan), lambda t: t.index == 5),
        ["missing values"],
    ),
    "a sensor that sticks": (
        set_values("visibility", np.float32(10), june),
        ["numbers that vary"],
    ),
    "the label turned round": (lambda t: t.assign(late=~t["late"]), ["share of late flights"]),
    "nobody is late": (lambda t: t.assign(late=False), ["share of late flights"]),
    "nobody is late lately": (
        lambda t: t.assign(late=t["late"] & ~june(t)),
        ["share of late flights"],
    ),
    "a carrier renamed": (
        set_values("carrier", "U2", lambda t: june(t) & (t["carrier"] == "UA")),
        ["carriers known from before"],
    ),
    "an airport that stayed away": (
        lambda t: t[~(june(t) & (t["origin"] == "LGA"))],
        ["carriers known from before", "origins known from before"],
    ),
    "a feature filled in afterwards": (
        fill_in_afterwards,
        ["no feature knows the answer alone"],
    ),
    "a feature that is there for late flights only": (
        lambda t: t.assign(
            plane_age=t["plane_age"]
            .where(~t["late"] | (t.index % 3 > 0))
            .fillna(5)
            .where(t["late"])
        ),
        ["missing values", "no feature knows the answer alone"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_own_test(table, fault):
    change, expected = FAULTS[fault]
    before = table.copy()
    assert failed(change(table)) == expected
    pd.testing.assert_frame_equal(table, before)


def test_a_feature_from_after_departure_is_refused_by_its_name(table):
    findings = check_data(table, as_of=JULY_31, features=(*NAMES, "arrival_delay"))
    assert [finding.check for finding in findings.failed] == ["features known before departure"]
    assert "arrival_delay" in findings.failed[0].found


def test_a_failure_says_where_why_and_what_to_do(table):
    change, _ = FAULTS["a carrier renamed"]
    (finding,) = check_data(change(table), as_of=JULY_31).failed
    assert "U2 is new (17" in finding.found
    assert "UA is gone (17" in finding.found
    assert "a code was renamed" in finding.reason
    assert finding.group == "data"

    change, _ = FAULTS["a sensor that fell silent lately"]
    (finding,) = check_data(change(table), as_of=JULY_31).failed
    assert finding.found.startswith("pressure 4")
    assert finding.found.endswith("% recently (limit 30%)")


def test_limits_are_what_decides(table):
    change, _ = FAULTS["stale"]
    assert failed(change(table), limits=DataLimits(max_age_days=61)) == []
    assert failed(table, limits=DataLimits(min_days=182)) == ["days"]
    assert failed(table, limits=DataLimits(single_feature_auc=0.6)) == [
        "no feature knows the answer alone"
    ]


GOOD = Finding("size", True, "10 bytes", "<= 20 bytes", group="size")
BAD = Finding("age | days", False, "60 days", "<= 45 days", "It is old. Train again.", "data")


def test_findings_pass_when_each_does_and_there_is_one():
    assert Findings([GOOD]).passed
    assert not Findings([GOOD, BAD]).passed
    assert not Findings().passed
    assert Findings([GOOD]) + Findings([BAD]) == Findings([GOOD, BAD])
    assert Findings([GOOD, BAD])[1:] == Findings([GOOD, BAD]).failed == Findings([BAD])
    assert Findings([GOOD, BAD]).group("size") == Findings([GOOD])
    assert Findings([GOOD, BAD]).reasons == [
        "age | days: found 60 days, limit <= 45 days. It is old. Train again."
    ]


def test_a_failure_without_a_reason_is_refused():
    with pytest.raises(ValueError, match=r"^size: a finding that fails needs a reason"):
        Finding("size", False, "10", "<= 5")


def test_findings_are_written_for_people_and_for_programs():
    findings = Findings([GOOD, BAD])
    assert Findings.from_json(json.loads(json.dumps(findings.to_json()))) == findings
    assert findings.to_table().splitlines() == [
        "        group  check       found     limit",
        "ok      size   size        10 bytes  <= 20 bytes",
        "FAILED  data   age | days  60 days   <= 45 days",
        "        It is old. Train again.",
    ]
    assert findings.to_markdown().splitlines() == [
        "| | group | check | found | limit |",
        "|---|---|---|---|---|",
        "| ok | size | size | 10 bytes | <= 20 bytes |",
        "| **failed** | data | age \\| days | 60 days | <= 45 days |",
        "",
        "- **age | days**: It is old. Train again.",
    ]
