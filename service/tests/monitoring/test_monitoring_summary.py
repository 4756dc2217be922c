"""The summary of the log by day: right, streamed, and the same however the flights come."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from contextlib import closing
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from flight_delays.features import NAMES
from flight_delays.monitoring.bins import CHECKED, PREDICTION, Bins
from flight_delays.monitoring.clock import by_clock, by_request_id
from flight_delays.monitoring.scan import scan
from flight_delays.monitoring.summary import Summariser, Summary, summarise, summary_of
from flight_delays.prediction_log import LogChunk, PredictionLog, read_log

VOCABULARY = {
    "carrier": {"AA": 0, "UA": 1},
    "origin": {"EWR": 0, "JFK": 1},
    "destination": {"BOS": 0, "LAX": 1, "ORD": 2},
}
DAY = 86_400.0


def make_rows(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 40, (rows, len(NAMES))).astype(np.float32)
    for name, codes in VOCABULARY.items():
        matrix[:, NAMES.index(name)] = rng.integers(len(codes), size=rows)
    matrix[rng.random(rows) < 0.1, NAMES.index("pressure")] = np.nan
    matrix[:, NAMES.index("temperature")] += 40  # above the dew point
    return matrix, rng.random(rows).astype(np.float32)


@pytest.fixture(scope="module")
def bins() -> Bins:
    return Bins.learn(*make_rows(5_000), VOCABULARY)


@pytest.fixture
def write(tmp_path: Path):
    """Write a log: requests of one flight, a hundred a day from 1970 on."""

    def write(rows: int, batch: int = 1, a_day: int = 100) -> tuple[Path, np.ndarray, np.ndarray]:
        path = tmp_path / f"log-{rows}-{batch}.sqlite"
        matrix, probabilities = make_rows(rows, 1)
        with PredictionLog(path, max_pending_rows=10**9) as log:
            log.know("v", VOCABULARY)
            for start in range(0, rows, batch):
                stop = start + batch
                log.append(
                    f"r-{start}", start // a_day * DAY + 60, "v",
                    matrix[start:stop], probabilities[start:stop], None,
                )  # fmt: skip
        return path, matrix, probabilities

    return write


def assert_same(first: Summary, second: Summary) -> None:
    for field in fields(Summary):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], f"{field.name} {name}")
        else:
            np.testing.assert_array_equal(one, other, field.name)


# Bins


def test_every_value_has_a_bucket_and_every_flight_is_counted_once(bins):
    matrix, probabilities = make_rows(1_000, 2)
    matrix[:5] = np.nan
    matrix[5, NAMES.index("carrier")] = -1  # unknown
    matrix[6, NAMES.index("carrier")] = 7  # a code of no value
    counts = bins.count(matrix, probabilities)
    assert list(counts) == list(CHECKED)
    assert all(values.sum() == 1_000 for values in counts.values())
    assert counts["carrier"][-2:].tolist() == [2, 5]  # unknown, missing
    assert all(len(counts[scale.name]) == len(scale.labels()) for scale in bins.scales)


def test_values_far_outside_have_buckets_of_their_own(bins):
    scale = bins["wind_speed"]  # the reference went from 0 to 39
    column = np.array([-10, -9, 0, 39, 48, 49, np.nan], np.float32)
    buckets = scale.place(column)
    assert set(buckets[[0, 5]]) == set(scale.strange)
    assert not set(buckets[1:5]) & set(scale.strange)
    assert buckets[-1] == scale.missing


def test_bins_hold_the_same_number_of_flights_each_and_a_dominant_value_hides_no_others():
    matrix, probabilities = make_rows(10_000)
    matrix[:, NAMES.index("temperature")] = np.random.default_rng(3).normal(size=10_000)
    rain = np.zeros(10_000, np.float32)
    rain[:300] = np.linspace(0.01, 1, 300)
    matrix[:, NAMES.index("precipitation")] = rain
    bins = Bins.learn(matrix, probabilities, VOCABULARY)
    counts = bins.count(matrix, probabilities)
    inner = counts["temperature"][1:-2]
    assert inner.min() > 0.04 * 10_000 and inner.max() < 0.06 * 10_000
    assert (counts["precipitation"][1:-2] > 0).sum() >= 4


def test_codes_of_another_version_are_turned_into_those_of_the_bins(bins):
    matrix, probabilities = make_rows(100)
    theirs = VOCABULARY | {"carrier": {"9E": 0, "AA": 1, "UA": 2}}
    matrix[:, NAMES.index("carrier")] = np.arange(100) % 4 - 1  # unknown, 9E, AA, UA
    counts = bins.count(bins.recode(matrix, theirs), probabilities)
    assert counts["carrier"].tolist() == [25, 25, 50, 0]
    assert bins.recode(matrix, VOCABULARY) is matrix


def test_a_reference_without_flights_or_without_readings_is_refused():
    matrix, probabilities = make_rows(10)
    with pytest.raises(ValueError, match="found none"):
        Bins.learn(matrix[:0], probabilities[:0], VOCABULARY)
    matrix[:, NAMES.index("humidity")] = np.nan
    with pytest.raises(ValueError, match="humidity"):
        Bins.learn(matrix, probabilities, VOCABULARY)


# Summaries


def test_a_log_gives_what_its_flights_give(write, bins):
    path, matrix, probabilities = write(1_000)
    days = (np.arange(1_000) // 100).astype("datetime64[D]")
    found = summarise(path, bins)
    assert_same(found, summary_of(days, matrix, probabilities, bins))
    assert found.rows.tolist() == [100] * 10
    for name, counts in bins.count(matrix, probabilities).items():
        np.testing.assert_array_equal(found.total()[name], counts)


def test_batches_and_chunks_make_no_difference(write, bins):
    path, *_ = write(1_000, batch=40, a_day=200)
    whole = summarise(path, bins)
    parts = [part.chunk for part in scan(path, rows_at_a_time=90)]
    assert len(parts) > 3 and min(map(len, parts[:-1])) >= 90
    (chunk,) = read_log(path)
    for name in ("matrix", "probabilities", "request_id", "row", "received_at", "version"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(chunk, name), name)
    summariser = Summariser(bins)
    for rows in np.array_split(np.random.default_rng(0).permutation(1_000), 7):
        days = by_clock(chunk)[rows].astype("datetime64[D]")
        summariser.add(days, chunk.matrix[rows], chunk.probabilities[rows])
    assert_same(summariser.summary(), whole)


def test_only_what_is_new_is_read_again(write, bins):
    path, matrix, probabilities = write(300)
    summariser = Summariser(bins)
    assert summariser.read(path) == 300
    assert summariser.read(path) == 0
    with PredictionLog(path) as log:
        log.append("later", 5 * DAY, "v", matrix[:7], probabilities[:7], None)
    assert summariser.read(path) == 7
    assert_same(summariser.summary(), summarise(path, bins))


def test_a_period_by_the_clock_and_by_the_request_id(tmp_path, bins):
    path = tmp_path / "log.sqlite"
    matrix, probabilities = make_rows(3)
    with PredictionLog(path) as log:
        for at, day in enumerate(("20130701-2359-a", "20130702-0000-b", "20130703-0600-c")):
            rows = slice(at, at + 1)
            log.append(day, 1_800_000_000.0 + at, "v", matrix[rows], probabilities[rows], None)
    found = summarise(path, bins, date(2013, 7, 2), date(2013, 7, 3), by_request_id)
    assert found.days.astype(str).tolist() == ["2013-07-02", "2013-07-03"]
    assert summarise(path, bins).days.astype(str).tolist() == ["2027-01-15"]
    assert len(summarise(path, bins, last=date(2013, 7, 3))) == 0


def test_questions_of_the_pipeline_belong_to_no_day(tmp_path, bins):
    path = tmp_path / "log.sqlite"
    matrix, probabilities = make_rows(3)
    with PredictionLog(path) as log:
        for at, name in enumerate(("20130701-2359-a", "smoke-0123", "monitor-4567")):
            rows = slice(at, at + 1)
            log.append(name, 1_800_000_000.0, "v", matrix[rows], probabilities[rows], None)
    found = summarise(path, bins, time_of=by_request_id)
    assert found.days.astype(str).tolist() == ["2013-07-01"]
    assert found.rows.tolist() == [1]


def test_a_request_id_without_a_day_is_named():
    nothing = np.empty((1, len(NAMES)), np.float32)
    ids = np.array(["nobody-knows"], object)
    one = np.zeros(1)
    with pytest.raises(ValueError, match="'nobody-knows': expected one that begins with the day"):
        by_request_id(LogChunk(nothing, one, ids, one, one, ids))


def test_summaries_add_up_and_are_cut(write, bins):
    path, *_ = write(1_000)
    whole = summarise(path, bins)
    first, rest = whole.between(None, date(1970, 1, 4)), whole.between(date(1970, 1, 5), None)
    assert (len(first), len(rest)) == (4, 6)
    assert_same(first + rest, whole)
    assert_same(Summary.joined([first, rest]), whole)
    twice = first + first
    assert twice.rows.tolist() == [200] * 4
    np.testing.assert_array_equal(twice.counts[PREDICTION], 2 * first.counts[PREDICTION])


def test_a_summary_survives_json(write, bins):
    path, *_ = write(500)
    found = summarise(path, bins)
    text = json.dumps([bins.to_json(), found.to_json()])
    there, again = json.loads(text)
    assert_same(Summary.from_json(again, Bins.from_json(there)), found)
    again["rows"].append(1)
    with pytest.raises(ValueError, match="summary: rows: expected 5 days"):
        Summary.from_json(again, bins)


def test_flights_that_repeat_others_of_their_day_are_counted(bins):
    matrix, probabilities = make_rows(600)
    days = np.repeat(np.datetime64("2013-07-01") + np.arange(6), 100)
    matrix[150] = matrix[101]
    matrix[160] = matrix[101]
    matrix[201] = matrix[101]  # another day
    summariser = Summariser(bins)
    for start in range(0, 600, 50):
        rows = slice(start, start + 50)
        summariser.add(days[rows], matrix[rows], probabilities[rows])
    assert summariser.summary().repeated.tolist() == [0, 2, 0, 0, 0, 0]


def test_a_damaged_record_is_named(write, bins):
    path, *_ = write(20)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE predictions SET features = x'00' WHERE id = 7")
    with pytest.raises(ValueError, match="record 7: expected 1 rows of 15 numbers"):
        summarise(path, bins)
    with pytest.raises(FileNotFoundError):
        summarise(path.with_name("nothing"), bins)


def test_memory_does_not_grow_with_the_log(write, bins):
    peaks = []
    for rows in (200_000, 600_000):  # 2 and 6 chunks; in one table they would be 14 and 41 MB
        path, *_ = write(rows, batch=500, a_day=5_000)
        tracemalloc.start()
        found = summarise(path, bins)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.rows.sum() == rows
    assert peaks[1] < 1.15 * peaks[0]
