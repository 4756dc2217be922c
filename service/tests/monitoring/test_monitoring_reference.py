"""The reference of a model: made once, kept in a file, read without pandas."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from flight_delays.features import NAMES
from flight_delays.monitoring.bins import CHECKED
from flight_delays.monitoring.reference import FOLD_DAYS, Reference, cross_fitted


def test_it_holds_the_days_it_was_asked_for(reference, window, bundle):
    assert (reference.first, reference.last) == (date(2013, 1, 1), date(2013, 6, 30))
    assert reference.version == bundle.version
    assert reference.bins.vocabulary == bundle.vocabulary
    assert reference.summary.rows.sum() == len(window) == reference.outcomes.labelled.sum()
    assert len(reference.summary) == 181


def test_the_outcomes_are_of_flights_the_model_had_not_seen(reference):
    """On its own training flights the model reaches 0.77; what nobody has seen is harder."""
    once = reference.outcomes.once
    assert 0.66 < reference.outcomes.roc_auc(once)[0] < 0.73


def test_nobody_is_predicted_by_a_model_of_the_same_fortnight(flights):
    some = flights[flights["departure"] < "2013-02-12"]
    day = some["departure"].to_numpy().astype("datetime64[D]")
    trained_on = []

    class Told:
        def predict_proba(self, table):
            trained_on.append((self.days, np.unique(table["departure"].dt.floor("D"))))
            return np.tile([0.5, 0.5], (len(table), 1))

    def train(table):
        told = Told()
        told.days = np.unique(table["departure"].dt.floor("D"))
        return told

    assert cross_fitted(some, day, train).shape == (len(some),)
    first = np.datetime64("2013-01-01")
    for known, predicted in trained_on:
        fortnights = [
            set(((d - first) // np.timedelta64(FOLD_DAYS, "D")).tolist())
            for d in (known, predicted)
        ]
        assert not fortnights[0] & fortnights[1]


def test_it_survives_its_file(reference, tmp_path):
    path = reference.write(tmp_path / "folder" / "reference.json")
    assert path.stat().st_size < 2_000_000
    again = Reference.read(path)
    assert again.to_json() == reference.to_json()
    np.testing.assert_array_equal(again.sample.matrix, reference.sample.matrix)
    np.testing.assert_array_equal(again.sample.day, reference.sample.day)
    assert again.sample.matrix.shape == (5_000, len(NAMES))
    for name in CHECKED:
        assert again.thresholds.limit(name, 7) == reference.thresholds.limit(name, 7)


def test_a_file_that_is_none_is_named(reference, tmp_path):
    path = tmp_path / "reference.json"
    with pytest.raises(FileNotFoundError, match="monitoring reference"):
        Reference.read(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"reference\.json: not a reference of this release"):
        Reference.read(path)
    path.write_text(json.dumps(reference.to_json() | {"format_version": 99}))
    with pytest.raises(ValueError, match="format_version: expected 1, found 99"):
        Reference.read(path)


def test_it_is_read_and_used_without_what_the_serving_image_lacks(reference, tmp_path, run_python):
    path = reference.write(tmp_path / "reference.json")
    code = f"""
import sys
for name in ("pandas", "sklearn", "scipy", "river", "evidently"):
    sys.modules[name] = None
from pathlib import Path
from flight_delays.monitoring.drift import drift
from flight_delays.monitoring.monitor import Monitor
from flight_delays.monitoring.quality import quality
from flight_delays.monitoring.reference import Reference
reference = Reference.read(Path({str(path)!r}))
Monitor(reference)
print(len(drift(reference, reference.summary)), quality(reference, reference.summary).passed)
"""
    done = run_python("-c", code)
    assert done.stdout.split() == ["16", "True"], done.stderr
