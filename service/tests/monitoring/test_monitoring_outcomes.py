"""Daily counts: what they hold, that they add up, and that the scores from them are the scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from flight_delays.monitoring.calibration import Calibration
from flight_delays.monitoring.outcomes import BINS, CENTRES, Outcomes, bin_of, together

DAYS = np.datetime64("2013-07-01") + np.arange(20)


@pytest.fixture(scope="module")
def flights() -> dict[str, np.ndarray]:
    """Twenty days of flights, calibrated, some without a label."""
    rng = np.random.default_rng(0)
    day = np.sort(rng.choice(DAYS, 6_000))
    probability = 1 / (1 + np.exp(-rng.normal(-1.2, 0.9, len(day))))
    late = (rng.random(len(day)) < probability).astype(float)
    late[rng.random(len(day)) < 0.1] = np.nan
    return {"day": day, "probabilities": probability, "late": late}


def test_scores_from_counts_are_the_scores(flights) -> None:
    outcomes = Outcomes.count(**flights)
    known = ~np.isnan(flights["late"])
    late, probability = flights["late"][known], flights["probabilities"][known]
    once = outcomes.once
    assert outcomes.rows.sum() == len(known) and outcomes.labelled.sum() == known.sum()
    assert outcomes.roc_auc(once)[0] == pytest.approx(roc_auc_score(late, probability), abs=0.002)
    assert outcomes.log_loss(once)[0] == pytest.approx(log_loss(late, probability))
    assert outcomes.late_share(once)[0] == pytest.approx(late.mean())
    assert outcomes.mean_prediction(once)[0] == pytest.approx(probability.mean())


def test_roc_auc_within_days_compares_only_flights_of_one_day(flights) -> None:
    day, probability, late = (flights[name] for name in ("day", "probabilities", "late"))
    known = ~np.isnan(late)
    expected = np.average(
        [roc_auc_score(late[known & (day == d)], probability[known & (day == d)]) for d in DAYS],
        weights=[(known & (day == d)).sum() for d in DAYS],
    )
    outcomes = Outcomes.count(**flights)
    assert outcomes.roc_auc_within_days(outcomes.once)[0] == pytest.approx(expected, abs=0.003)


def test_weights_count_days(flights) -> None:
    outcomes = Outcomes.count(**flights)
    weights = np.zeros((2, len(outcomes)))
    weights[0, :7] = 1
    weights[1, 3] = 2
    week, day = outcomes.of(slice(0, 7)), outcomes.of(slice(3, 4))
    for name in ("roc_auc", "log_loss", "late_share", "mean_prediction", "roc_auc_within_days"):
        found = getattr(outcomes, name)(weights)
        assert found[0] == pytest.approx(getattr(week, name)(week.once)[0])
        assert found[1] == pytest.approx(getattr(day, name)(day.once)[0])


def test_counts_of_parts_add_up_to_the_counts_of_the_whole(flights) -> None:
    mask = np.arange(len(flights["day"])) % 3 == 0
    slices = {"third": mask}
    whole = Outcomes.count(**flights, slices=slices)
    # Cut in the middle of a day, so that one day is in both parts.
    parts = [
        Outcomes.count(**{k: v[p] for k, v in flights.items()}, slices={"third": mask[p]})
        for p in (slice(0, 1_000), slice(1_000, None))
    ]
    found = together(parts)
    assert len(parts[0]) + len(parts[1]) == len(whole) + 1
    for name in ("days", "late", "punctual", "waiting"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))
    for name in ("predicted", "loss"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name))
    assert found.slices["third"] == pytest.approx(whole.slices["third"])


def test_a_slice_that_one_part_lacks_counts_as_none_there(flights) -> None:
    everything = np.ones(len(flights["day"]), bool)
    first = Outcomes.count(**flights, slices={"all": everything})
    later = Outcomes.count(DAYS[-1:] + 1, [0.3], [1])
    found = first + later
    assert found.slices["all"][-1].tolist() == [0, 0, 0]
    assert found.slices["all"][:-1].sum() == pytest.approx(first.slices["all"].sum())


def test_outcomes_survive_json(flights) -> None:
    outcomes = Outcomes.count(**flights, slices={"all": np.ones(len(flights["day"]), bool)})
    text = json.dumps(outcomes.to_json(), allow_nan=False)
    again = Outcomes.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.roc_auc(again.once) == outcomes.roc_auc(outcomes.once)


def test_no_flights_have_no_scores() -> None:
    nothing = Outcomes.none()
    assert len(nothing) == 0 and np.isnan(nothing.roc_auc(nothing.once)[0])
    again = Outcomes.from_json(json.loads(json.dumps(nothing.to_json())))
    assert len(again + again) == 0


def test_a_gap_of_a_slice_leaves_out_what_all_flights_of_the_day_share() -> None:
    rng = np.random.default_rng(1)
    day = np.repeat(DAYS, 2_000)
    part = np.arange(len(day)) % 4 == 0
    storm = np.repeat(rng.normal(0, 0.1, len(DAYS)), 2_000)
    probability = np.full(len(day), 0.3)
    late = rng.random(len(day)) < probability + storm + 0.15 * part
    outcomes = Outcomes.count(day, probability, late, {"part": part})
    gaps = outcomes.slice_gap("part")(np.eye(len(DAYS)))
    assert gaps.mean() == pytest.approx(-0.15, abs=0.02)
    whole = outcomes.mean_prediction(np.eye(20)) - outcomes.late_share(np.eye(20))
    assert gaps.std() < whole.std() / 2


def test_bins_hold_every_probability() -> None:
    assert len(CENTRES) == BINS
    assert bin_of([0.0, 1.0, 0.5]).tolist() == [0, BINS - 1, int(bin_of(0.5))]
    assert np.abs(CENTRES[bin_of([0.1, 0.25, 0.6])] - [0.1, 0.25, 0.6]).max() < 0.02


def test_calibration_finds_the_line_that_the_labels_follow() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(-1.2, 1.0, 200_000)
    probability = 1 / (1 + np.exp(-logits))
    late = rng.random(len(logits)) < 1 / (1 + np.exp(-(0.3 + 0.7 * logits)))
    outcomes = Outcomes.count(np.repeat(DAYS, 10_000), probability, late)
    line = Calibration.fit(outcomes.late.sum(axis=0), outcomes.punctual.sum(axis=0))
    assert line.intercept == pytest.approx(0.3, abs=0.03)
    assert line.slope == pytest.approx(0.7, abs=0.03)
    assert line(probability).mean() == pytest.approx(late.mean(), abs=0.005)
    assert line([0.0, 1.0]).tolist() == pytest.approx([0, 1], abs=0.001)


def test_calibration_needs_both_kinds_of_flights() -> None:
    with pytest.raises(ValueError, match="found 0 late of 82"):
        Calibration.fit(np.zeros(BINS), np.ones(BINS))


def test_the_label_side_needs_numpy_only(run_python) -> None:
    """The exporter runs in the serving image, which has none of these."""
    missing = ("pandas", "scipy", "sklearn", "river", "evidently", "mlflow")
    modules = ("labels", "window", "outcomes", "slices", "calibration", "estimate", "decay")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing}))\n" + "\n".join(
        f"import flight_delays.monitoring.{name}" for name in modules
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
