"""Drift of features and prediction, on real months and on a mix that was changed on purpose."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from flight_delays.bundle import Bundle, run_model
from flight_delays.features import CATEGORIES, encode
from flight_delays.flights import columns_of
from flight_delays.monitoring.bins import CHECKED
from flight_delays.monitoring.drift import drift, psi_of
from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.scenario import Scenario, apply
from flight_delays.monitoring.summary import Summary, summary_of


def summarised(flights: pd.DataFrame, bundle: Bundle, reference: Reference) -> Summary:
    matrix = encode(columns_of(flights), bundle.vocabulary)
    days = flights["departure"].to_numpy().astype("datetime64[D]")
    return summary_of(days, matrix, run_model(bundle.session, matrix), reference.bins)


@pytest.fixture(scope="module")
def july(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["departure"].dt.month == 7]


def test_a_finding_for_each_feature_and_one_for_the_prediction(reference, bundle, july):
    findings = drift(reference, summarised(july, bundle, reference))
    assert [finding.check for finding in findings] == list(CHECKED)
    assert len(findings.group("feature")) == 15 and len(findings.group("prediction")) == 1
    for finding in findings:
        assert finding.found.startswith("PSI ") and finding.limit.endswith("for 7 days")
        assert ("Wasserstein" in finding.found) == (finding.check not in CATEGORIES)


def test_the_season_is_within_what_the_reference_allows(reference, bundle, july):
    """July's temperature has a PSI above 5, which every book calls a drift; so had many weeks."""
    window = summarised(july, bundle, reference)
    assert psi_of(reference, window)["temperature"][0] > 4
    assert drift(reference, window).passed


def test_another_mix_is_drift_of_what_it_changes_and_of_nothing_else(reference, bundle, july):
    injection = {
        "name": "half of United flies as Delta", "kind": "mix", "share": 0.5,
        "first": date(2013, 7, 1), "last": date(2013, 7, 31),
        "where": {"carrier": ["UA"]}, "to": {"carrier": "DL"},
    }  # fmt: skip
    changed = apply(july, Scenario.model_validate({"injection": [injection]}))
    failed = drift(reference, summarised(changed, bundle, reference)).failed
    assert [finding.check for finding in failed] == ["carrier"]
    assert failed[0].reason


def test_nothing_is_said_of_no_flights(reference):
    nothing = reference.summary.take(np.empty(0, int))
    assert not len(drift(reference, nothing)) and psi_of(reference, nothing) == {}


def test_the_reference_against_itself_is_at_no_distance(reference):
    assert max(value for value, _ in psi_of(reference, reference.summary).values()) < 1e-12
