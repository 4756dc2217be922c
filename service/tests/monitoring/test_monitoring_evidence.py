"""What a decision rests on: windows of the log from end to end, real, injected, empty."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.evidence import Evidence, gather
from flight_delays.monitoring.labels import Label, LabelStore
from flight_delays.monitoring.scenario import Scenario, apply

EPOCH = datetime(1970, 1, 1)
AUGUST = date(2013, 8, 1), date(2013, 8, 31)


def evidence_of(reference, logged, first: date, last: date, as_of: date, **options) -> Evidence:
    with LabelStore(logged.labels) as labels:
        return gather(reference, logged.log, labels, first, last, as_of, by_request_id, **options)


@pytest.fixture(scope="module")
def injected(bundle, later, days_between, make_log, tmp_path_factory):
    """Make a log of July and August with an injection."""

    def make(**injection: Any):
        injection = {"name": "test", "first": AUGUST[0], "last": AUGUST[1]} | injection
        scenario = Scenario.model_validate({"injection": [injection]})
        flights = days_between(later, date(2013, 7, 1), AUGUST[1])
        return make_log(tmp_path_factory.mktemp("injected"), bundle, apply(flights, scenario))

    return make


def test_evidence_of_a_real_month_holds_findings_and_figures(reference, logged) -> None:
    found = evidence_of(reference, logged, *AUGUST, date(2013, 9, 15))
    month = logged.flights[logged.flights["departure"].dt.month == 8]
    assert found.rows == found.labelled == len(month)
    assert found.quality.passed and found.change is None
    assert {finding.group for finding in found.drift} == {"feature", "prediction"}
    # June was 0.81 on the flights the model was trained on; held out it is no better than August.
    assert found.decay is not None and found.decay.passed
    figures = found.figures
    assert figures["late_share"] == pytest.approx(month["late"].mean())
    assert figures["roc_auc_low"] < figures["roc_auc"] < figures["roc_auc_high"]
    assert {"estimated_roc_auc", "log_loss", "mean_prediction", "labelled_share"} <= set(figures)
    text = found.to_text()
    assert f"{len(month):,} flights" in text and "decay" in text and "estimated roc auc" in text


def test_evidence_goes_through_json(reference, logged) -> None:
    found = evidence_of(reference, logged, *AUGUST, date(2013, 9, 15))
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["first"] == "2013-08-01" and content["change"] is None
    assert len(content["decay"]) == len(found.decay) and content["figures"] == found.figures


def test_an_injected_concept_is_decay_and_its_day_is_found(reference, injected) -> None:
    """Injected: half of the punctual mornings out of Newark arrive late from 10 August on."""
    log = injected(
        kind="concept", first=date(2013, 8, 10), becomes_late=0.5,
        where={"origin": ["EWR"], "hours": [5, 11]},
    )  # fmt: skip
    found = evidence_of(reference, log, *AUGUST, date(2013, 9, 15))
    assert found.quality.passed and found.drift.passed  # no look at the features finds it
    assert "origin EWR" in found.decay.failed[-1].found
    assert found.change == date(2013, 8, 10)
    assert f"since about {found.change}" in found.to_text()
    # The estimate is made of predictions, so it does not see it either.
    assert found.figures["estimated_roc_auc"] - found.figures["roc_auc"] > 0.06


def test_an_injected_unit_is_a_fault_of_the_data(reference, injected) -> None:
    """Injected: temperatures in Celsius."""
    log = injected(kind="unit", feature="temperature", factor=5 / 9, offset=-160 / 9)
    found = evidence_of(reference, log, *AUGUST, date(2013, 9, 15))
    assert "temperature" in " ".join(found.quality.reasons)


def test_decay_is_not_judged_before_labels_have_come(reference, logged) -> None:
    found = evidence_of(reference, logged, *AUGUST, date(2013, 8, 5))
    assert found.decay is None and found.labelled < found.rows / 5
    assert "estimated_roc_auc" in found.figures
    assert "decay: not judged" in found.to_text()
    with_none = gather(reference, logged.log, None, *AUGUST, date(2013, 9, 15), by_request_id)
    assert with_none.decay is None and with_none.labelled == 0
    assert "roc_auc" not in with_none.figures


def test_the_past_is_judged_as_it_was_known_then(reference, logged, tmp_path: Path) -> None:
    """Labels that arrive later do not change what a decision of an earlier day rested on."""
    as_of = date(2013, 9, 2)
    before = evidence_of(reference, logged, *AUGUST, as_of)
    with LabelStore(logged.labels) as labels, LabelStore(tmp_path / "more.sqlite") as more:
        # Of August; the days before it matter only where something failed.
        rows = labels._connection.execute(
            "SELECT request_id, row, known_at, late FROM labels WHERE request_id LIKE '201308%'"
        )
        known = [Label(i, r, bool(late), EPOCH + timedelta(seconds=s)) for i, r, s, late in rows]
        more.add(known)
        more.add(label._replace(late=True, known_at=datetime(2013, 9, 3)) for label in known)
        after = gather(reference, logged.log, more, *AUGUST, as_of, by_request_id)
        assert after == before
        changed = gather(reference, logged.log, more, *AUGUST, date(2013, 9, 4), by_request_id)
        assert changed.figures != before.figures


def test_a_period_without_flights_has_evidence_of_nothing(reference, logged) -> None:
    day = date(2012, 1, 1)
    found = evidence_of(reference, logged, day, day, date(2013, 1, 1))
    assert found.rows == found.labelled == 0 and found.decay is None and found.change is None
    json.dumps(found.to_json(), allow_nan=False)
    assert "0 flights" in found.to_text()


def test_a_person_may_ask_for_all_features_together(reference, logged) -> None:
    found = evidence_of(reference, logged, *AUGUST, date(2013, 9, 15), all_together=True)
    (together,) = found.drift.group("all together")
    assert together.found.startswith("AUC 0.")
