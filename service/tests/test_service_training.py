"""The model learns, gives the same model twice, and is judged honestly."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from flight_delays.evaluation import by_month, compare_holdouts, score, validate_forward
from flight_delays.features import NAMES
from flight_delays.training import FlightEncoder, build_pipeline, fit, predict


@pytest.fixture(scope="module")
def months(flights, pipeline):
    return by_month(flights, predict(pipeline, flights))


def test_training_twice_gives_the_same_model(window, flights):
    sample, probe = window[:20_000], flights[-2_000:]
    assert np.array_equal(predict(fit(sample), probe), predict(fit(sample), probe))


def test_probabilities_are_probabilities(pipeline, flights):
    probability = predict(pipeline, flights[-5_000:])
    assert probability.shape == (5_000,)
    assert ((probability > 0) & (probability < 1)).all()


def test_encoder_is_a_scikit_learn_transformer(window):
    encoder = FlightEncoder().fit(window)
    assert encoder.vocabulary_["origin"] == {"EWR": 0, "JFK": 1, "LGA": 2}
    assert encoder.get_feature_names_out().tolist() == list(NAMES)
    with pytest.raises(NotFittedError):
        clone(encoder).transform(window)
    assert clone(build_pipeline()).get_params()["classify__max_iter"] == 100


def test_destinations_never_seen_are_answered(pipeline, flights):
    known = pipeline["encode"].vocabulary_["destination"]
    new = flights[~flights["destination"].isin(list(known))]
    assert sorted(new["destination"].unique()) == ["ANC", "ILM", "LEX", "SBN"]
    assert np.isfinite(predict(pipeline, new)).all()


def test_months_have_the_known_shares_of_late_flights(months):
    assert (months["late_share"] * 100).round().tolist() == [
        23, 24, 24, 29, 23, 32, 32, 25, 14, 18, 18, 34,
    ]  # fmt: skip
    assert months["rows"].sum() == 327_346


def test_the_model_decays_after_june(months):
    auc = months["roc_auc"]
    assert auc[6] > 0.78
    assert auc[7:].max() < 0.76
    assert auc[11] == auc.min()
    assert auc[11] == pytest.approx(0.66, abs=0.02)


def test_calibration_fails_most_in_september_and_december(months):
    gap = (months["mean_prediction"] - months["late_share"])[6:]
    assert gap.idxmax() == 9
    assert gap.idxmin() == 12


def test_a_random_holdout_flatters(flights):
    holdouts = compare_holdouts(flights[::4], date(2013, 6, 30))
    assert holdouts.random > holdouts.following + 0.02


def test_holdouts_need_flights_on_both_sides(flights):
    with pytest.raises(ValueError, match=r"^through: expected a day with flights before and after"):
        compare_holdouts(flights, date(2013, 12, 31))


def test_forward_validation_scores_the_last_days(metrics, window):
    assert (metrics.first, metrics.last) == (date(2013, 6, 1), date(2013, 6, 30))
    assert metrics.rows == (window["departure"] >= "2013-06-01").sum()
    assert 0.72 < metrics.roc_auc < 0.78


def test_forward_validation_needs_more_days_than_it_holds_out(window):
    with pytest.raises(ValueError, match=r"expected more than 30 days.*found 10"):
        validate_forward(window[window["departure"] < "2013-01-11"])


def test_scores_by_hand():
    late, probability = [True, False, False, True], [0.9, 0.2, 0.6, 0.4]
    scores = score(late, probability)
    assert scores.roc_auc == roc_auc_score(late, probability) == 0.75
    assert scores.brier == pytest.approx((0.1**2 + 0.2**2 + 0.6**2 + 0.6**2) / 4)
    assert scores.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.4]).mean())
    assert (scores.rows, scores.late_share) == (4, 0.5)
    assert scores.mean_prediction == pytest.approx(0.525)


def test_scores_of_one_kind_of_flight_are_refused():
    with pytest.raises(ValueError, match="found one kind in 2"):
        score([True, True], [0.5, 0.6])


def test_flights_before_a_change_count_little_and_are_not_forgotten(flights):
    """Since the change the flights of one carrier are all late; other flights are as they were."""
    table = flights[flights["departure"] < "2013-03-01"][::4].copy()
    after = table["departure"] >= "2013-02-15"
    of_carrier = (table["carrier"] == "DL").to_numpy()
    table["late"] = np.where(after & of_carrier, True, table["late"])
    probe = flights[(flights["departure"].dt.month == 3) & (flights["carrier"] == "DL")][:500]
    others = flights[(flights["departure"].dt.month == 3) & (flights["carrier"] != "DL")]
    plain, weighted = fit(table), fit(table, changed=date(2013, 2, 15), weight_before=0.05)
    assert predict(plain, probe).mean() < 0.6 < 0.8 < predict(weighted, probe).mean()
    assert roc_auc_score(others["late"], predict(weighted, others)) > 0.65
    equal = fit(table, changed=date(2013, 2, 15), weight_before=1.0)
    assert np.allclose(predict(equal, probe), predict(plain, probe))
