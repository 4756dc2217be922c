"""Honest models of nine months behave; a model broken in one way fails the test made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.export import export_bundle
from flight_delays.features import Columns
from flight_delays.flights import split_by_day
from flight_delays.pipeline.behaviour import behaviour_tests
from flight_delays.pipeline.limits import BehaviourLimits
from flight_delays.training import fit

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Broken(Bundle):
    """A good bundle whose answers are spoilt on the way."""

    spoil: Callable[[Bundle, Columns], Probabilities]

    def predict(self, columns: Columns) -> Probabilities:
        return self.spoil(self, columns)

    def honest(self, **columns: Any) -> Probabilities:
        return Bundle.predict(self, columns)


@pytest.fixture(scope="module")
def july(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["departure"].dt.month == 7]


@pytest.fixture(scope="module")
def good(bundle_folder: Path) -> Bundle:
    return load_bundle(bundle_folder)


def failed(bundle: Bundle, flights: pd.DataFrame, **options: Any) -> list[str]:
    return [finding.check for finding in behaviour_tests(bundle, flights, **options).failed]


@pytest.mark.parametrize("month", range(4, 13))
def test_honest_models_behave(flights, metrics, tmp_path, month):
    """Trained on a sample of the months before, tried on the flights of the month itself."""
    before, _ = split_by_day(flights, date(2013, month, 1) - pd.Timedelta(days=1))
    sample = before[::4]
    bundle = load_bundle(export_bundle(fit(sample), sample, metrics, tmp_path))
    findings = behaviour_tests(bundle, flights[flights["departure"].dt.month == month])
    assert findings.passed, findings.reasons
    assert len(findings) == 15


@pytest.mark.parametrize("seed", range(3))
def test_the_full_model_behaves_on_any_draw_of_flights(good, july, seed):
    assert failed(good, july, seed=seed) == []


def beyond_one(bundle: Broken, columns: Columns) -> Probabilities:
    return bundle.honest(**columns) * np.float32(1.5)


def fails_without_weather(bundle: Broken, columns: Columns) -> Probabilities:
    probability = bundle.honest(**columns)
    blank = np.isnan(np.asarray(columns["temperature"], float))
    return np.where(blank & np.isnan(columns["visibility"]), np.float32(np.nan), probability)


def mixes_the_batch(bundle: Broken, columns: Columns) -> Probabilities:
    """A tenth of each answer is the mean of its batch."""
    probability = bundle.honest(**columns)
    return (probability * 0.9 + probability.mean() * 0.1).astype(np.float32)


def looks_at_the_place(bundle: Broken, columns: Columns) -> Probabilities:
    probability = bundle.honest(**columns)
    return probability * np.linspace(0.9, 1, len(probability), dtype=np.float32)


def hashes_names(name: str) -> Callable[[Broken, Columns], Probabilities]:
    def spoil(bundle: Broken, columns: Columns) -> Probabilities:
        known = bundle.vocabulary[name]
        noise = [
            0.0 if value in known else crc32(str(value).encode()) % 7 / 100
            for value in columns[name]
        ]
        return np.clip(bundle.honest(**columns) - np.array(noise, np.float32), 0, 1)

    return spoil


def knows_by_heart(name: str, step: float) -> Callable[[Broken, Columns], Probabilities]:
    """Each minute, or tenth of a degree, has an answer of its own."""

    def spoil(bundle: Broken, columns: Columns) -> Probabilities:
        odd = np.round(np.asarray(columns[name], float) / step) % 2 == 1
        return np.clip(bundle.honest(**columns) + np.where(odd, 0.03, 0), 0, 1).astype(np.float32)

    return spoil


def reads_backwards(name: str, low: float, high: float) -> Callable[..., Probabilities]:
    """Serving turned a sign round: it reads the worst where training read the best."""

    def spoil(bundle: Broken, columns: Columns) -> Probabilities:
        turned = np.clip(low + high - np.asarray(columns[name], float), low, high)
        return bundle.honest(**{**columns, name: turned})

    return spoil


def always(probability: float) -> Callable[[Broken, Columns], Probabilities]:
    def spoil(bundle: Broken, columns: Columns) -> Probabilities:
        return np.full(len(columns["carrier"]), probability, np.float32)

    return spoil


def turned_round(bundle: Broken, columns: Columns) -> Probabilities:
    """The other column of the model's output."""
    return 1 - bundle.honest(**columns)


DAWN = "a clear Saturday at dawn, the highest of 3 routes"
EVENING = "a stormy Thursday evening, the lowest of 3 routes"
RISE = "stormy evening above clear dawn on each route"
VISIBILITY = "visibility from 10 to 2 miles"
PRECIPITATION = "precipitation from 0 to 0.3 inches"
WIND = "wind_speed from 5 to 25 miles per hour"
LATER = "departure_minute from 420 to 1140 minutes after midnight"

BROKEN: dict[str, tuple[Callable[..., Probabilities], list[str]]] = {
    "above one": (beyond_one, ["answers are probabilities, also without weather and plane"]),
    "not a number without weather": (
        fails_without_weather,
        ["answers are probabilities, also without weather and plane"],
    ),
    "depends on its neighbours": (mixes_the_batch, ["same answers one by one as in a batch"]),
    "depends on the place": (
        looks_at_the_place,
        ["same answers in another order", "same answers one by one as in a batch"],
    ),
    "hashes carriers": (
        hashes_names("carrier"),
        ["same answers for two unknown names of carrier"],
    ),
    "hashes origins": (hashes_names("origin"), ["same answers for two unknown names of origin"]),
    "hashes destinations": (
        hashes_names("destination"),
        ["same answers for two unknown names of destination"],
    ),
    "knows minutes by heart": (
        knows_by_heart("departure_minute", 1),
        ["nearly same answers a minute later"],
    ),
    "knows degrees by heart": (
        knows_by_heart("temperature", 0.1),
        ["nearly same answers 0.1 degrees warmer"],
    ),
    "visibility backwards": (reads_backwards("visibility", 0, 10), [VISIBILITY]),
    "precipitation backwards": (reads_backwards("precipitation", 0, 0.3), [PRECIPITATION]),
    "wind backwards": (reads_backwards("wind_speed", 5, 25), [WIND]),
    "the day backwards": (
        reads_backwards("departure_minute", 360, 1200),
        [LATER, EVENING],
    ),
    "always likely": (always(0.5), [VISIBILITY, PRECIPITATION, WIND, LATER, DAWN, RISE]),
    "always unlikely": (always(0.1), [VISIBILITY, PRECIPITATION, WIND, LATER, EVENING, RISE]),
    "the wrong column": (
        turned_round,
        [VISIBILITY, PRECIPITATION, WIND, LATER, DAWN, EVENING, RISE],
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_each_broken_model_fails_the_test_made_for_it(good, july, fault):
    spoil, expected = BROKEN[fault]
    bundle = Broken(good.info, good.sha256, good.vocabulary, good.session, spoil)
    findings = behaviour_tests(bundle, july)
    assert [finding.check for finding in findings.failed] == expected
    assert all(finding.reason and finding.group == "behaviour" for finding in findings.failed)


def test_limits_are_what_decides(good, july):
    strict = BehaviourLimits(easy_at_most=0.01)
    assert failed(good, july, limits=strict) == [DAWN]
    strict = BehaviourLimits(small_change=0.0)
    assert failed(good, july, limits=strict) == [
        "nearly same answers a minute later",
        "nearly same answers 0.1 degrees warmer",
    ]


def test_few_flights_are_enough_and_none_are_refused(good, july):
    assert len(behaviour_tests(good, july[:3])) == 15
    with pytest.raises(ValueError, match=r"^flights: expected some rows"):
        behaviour_tests(good, july[:0])
