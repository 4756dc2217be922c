"""What a decision rests on: one window of the log, from end to end."""

from __future__ import annotations

import json
from datetime import date

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.evidence import gather
from flight_delays.monitoring.labels import LabelStore


def test_evidence_of_a_month_holds_findings_and_figures(reference, logged):
    with LabelStore(logged.labels) as labels:
        found = gather(
            reference, logged.log, labels,
            date(2013, 8, 1), date(2013, 8, 31), date(2013, 9, 15), by_request_id,
        )  # fmt: skip
    print(found.to_text())
    month = logged.flights[logged.flights["departure"].dt.month == 8]
    assert found.rows == found.labelled == len(month)
    assert found.decay is not None and found.decay.passed and found.change is None
    assert abs(found.figures["late_share"] - month["late"].mean()) < 1e-6
    assert found.figures["roc_auc_low"] < found.figures["roc_auc"] < found.figures["roc_auc_high"]
    json.dumps(found.to_json(), allow_nan=False)
