"""Scores of a month with intervals by days, against scikit-learn, and slice by slice."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.performance import MIN_FLIGHTS, performance
from flight_delays.monitoring.slices import PARTS, slices_of
from flight_delays.monitoring.window import Window, read_window


@pytest.fixture(scope="module")
def september(logged, reference) -> Window:
    with LabelStore(logged.labels) as labels:
        return read_window(
            logged.log, labels, date(2013, 9, 1), date(2013, 9, 30), date(2013, 9, 30),
            by_request_id, reference.bins.vocabulary,
        )  # fmt: skip


def test_scores_are_those_of_the_labelled_flights(september: Window) -> None:
    found = performance(september, repeats=200)
    late = september.late[september.known] == 1
    probability = september.probabilities[september.known].astype(float)
    assert found.rows == len(september) > found.labelled == len(late)
    assert found.days == 28  # no label of the last two days has come
    assert found.roc_auc.estimate == pytest.approx(roc_auc_score(late, probability))
    assert found.log_loss.estimate == pytest.approx(log_loss(late, probability))
    assert found.brier.estimate == pytest.approx(brier_score_loss(late, probability))
    assert found.late_share.estimate == pytest.approx(late.mean())
    for name in ("roc_auc", "log_loss", "brier", "late_share", "mean_prediction"):
        interval = getattr(found, name)
        assert interval.low < interval.estimate < interval.high


def test_september_is_badly_calibrated_and_says_so(september: Window) -> None:
    """The share of late flights fell to 14%; the model went on to say 23%."""
    found = performance(september, repeats=500)
    assert found.mean_prediction.low > found.late_share.high
    assert found.calibration_error.estimate > 0.08
    assert found.calibration.intercept < -0.3


def test_slices_are_scored_worst_first_and_small_ones_are_left_out(september: Window) -> None:
    found = performance(september, repeats=200).slices
    known = september.of(september.known)
    masks = slices_of(known.matrix, known.vocabulary)
    assert {"origin EWR", "carrier UA", "before 9:00", "origin JFK, from 17:00"} <= {
        one.name for one in found
    }
    assert [one.log_loss.estimate for one in found] == sorted(
        (one.log_loss.estimate for one in found), reverse=True
    )
    for one in found:
        rows = masks[one.name]
        assert one.flights == rows.sum() >= MIN_FLIGHTS
        assert one.roc_auc.estimate == pytest.approx(
            roc_auc_score(known.late[rows], known.probabilities[rows])
        )
    assert "carrier OO" not in {one.name for one in found}  # some twenty flights


def test_every_flight_is_in_one_slice_of_each_kind(september: Window) -> None:
    masks = slices_of(september.matrix, september.vocabulary)
    kinds = {
        "carrier": [n for n in masks if n.startswith("carrier")],
        "origin": [n for n in masks if n.startswith("origin") and "," not in n],
        "part": list(PARTS),
        "cell": [n for n in masks if "," in n],
    }
    assert sum(map(len, kinds.values())) == len(masks)
    assert len(kinds["cell"]) == len(kinds["origin"]) * len(kinds["part"]) == 12
    for names in kinds.values():
        assert (sum(masks[name].astype(int) for name in names) == 1).all()


def test_the_table_names_scores_and_slices(september: Window) -> None:
    text = performance(september, repeats=50).to_table()
    assert "flights have a label, on 28 days" in text
    assert "roc auc" in text and "intercept" in text and "origin EWR, from 17:00" in text


def test_without_labels_there_are_no_scores(september: Window) -> None:
    for rows in (~september.known, september.late == 1):
        with pytest.raises(ValueError, match="expected late and punctual flights with labels"):
            performance(september.of(rows))


def test_the_same_window_gives_the_same_intervals(september: Window) -> None:
    first = performance(september, repeats=50)
    assert first == performance(september, repeats=50)
    without = performance(september, repeats=50, with_slices=False)
    assert without.slices == () and without.roc_auc == first.roc_auc
    assert np.isfinite([first.roc_auc.low, first.calibration_error.high]).all()
