"""A window has the flights of its days once each, one vocabulary and the labels known then."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from flight_delays.features import CATEGORIES, NAMES, UNKNOWN
from flight_delays.monitoring.clock import by_clock, by_request_id
from flight_delays.monitoring.labels import Label, LabelStore
from flight_delays.monitoring.window import read_window
from flight_delays.prediction_log import PredictionLog

JULY_1, JULY_2, JULY_3 = (date(2013, 7, day) for day in (1, 2, 3))
OLD = {name: {"A": 0, "C": 1} for name in CATEGORIES}
NEW = {name: {"A": 0, "B": 1, "C": 2} for name in CATEGORIES}


def matrix_of(rows: int, codes: list[float] | None = None) -> np.ndarray:
    matrix = np.zeros((rows, len(NAMES)), np.float32)
    matrix[:, NAMES.index("carrier")] = codes or 0
    matrix[:, NAMES.index("distance")] = np.arange(rows)
    return matrix


def seconds(day: date, hour: int = 0) -> float:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three requests by two versions whose codes differ; each received an hour before midnight."""
    path = tmp_path / "predictions.sqlite"
    with PredictionLog(path) as writer:
        writer.know("2013-06-30-00000000", OLD)
        writer.know("2013-07-31-00000000", NEW)
        for day, version, rows, codes in (
            (JULY_1, "2013-06-30-00000000", 2, [0, 1]),
            (JULY_2, "2013-07-31-00000000", 3, [0, 1, 2]),
            (JULY_3, "2013-07-31-00000000", 1, [-1]),
        ):
            matrix = matrix_of(rows, codes)
            probabilities = np.linspace(0.1, 0.5, rows, dtype=np.float32)
            request_id = f"{day:%Y%m%d}-2300-x"
            writer.append(request_id, seconds(day, 23), version, matrix, probabilities, None)
    return path


@pytest.mark.parametrize("time_of", [by_clock, by_request_id])
def test_both_ends_of_a_period_are_in_it(log: Path, time_of) -> None:
    window = read_window(log, None, JULY_1, JULY_2, JULY_3, time_of)
    assert window.day.astype(str).tolist() == ["2013-07-01"] * 2 + ["2013-07-02"] * 3
    assert len(window) == 5 and np.isnan(window.late).all() and not window.known.any()
    assert len(read_window(log, None, JULY_3, JULY_3, JULY_3, time_of)) == 1


def test_codes_of_all_versions_become_those_of_one_vocabulary(log: Path) -> None:
    newest = read_window(log, None, JULY_1, JULY_3, JULY_3, by_request_id)
    assert newest.vocabulary == NEW
    assert newest.names("carrier").tolist() == ["A", "C", "A", "B", "C", None]
    assert newest.matrix[:, 0].tolist() == [0, 2, 0, 1, 2, UNKNOWN]
    old = read_window(log, None, JULY_1, JULY_3, JULY_3, by_request_id, vocabulary=OLD)
    assert old.names("carrier").tolist() == ["A", "C", "A", None, "C", None]
    assert old.matrix[:, NAMES.index("distance")].tolist() == [0, 1, 0, 1, 2, 0]


def test_labels_are_those_known_at_the_end_of_the_day(log: Path, store: LabelStore) -> None:
    noon = datetime(2013, 7, 2, 12)
    store.add([Label("20130701-2300-x", 1, True, noon), Label("20130702-2300-x", 0, False, noon)])
    store.add([Label("20130701-2300-x", 1, False, datetime(2013, 7, 3))])

    def late(as_of: date) -> list[float]:
        found = read_window(log, store, JULY_1, JULY_2, as_of, by_request_id).late
        return np.nan_to_num(found, nan=-1).tolist()

    assert late(JULY_1) == [-1, -1, -1, -1, -1]
    assert late(JULY_2) == [-1, 1, 0, -1, -1]
    assert late(JULY_3) == [-1, 0, 0, -1, -1]


def test_a_request_that_came_again_counts_once(log: Path, store: LabelStore) -> None:
    with PredictionLog(log) as writer:
        matrix = matrix_of(3)
        writer.append(
            "20130702-2300-x", seconds(JULY_3), "2013-07-31-00000000", matrix, matrix[:, 0], None
        )
    window = read_window(log, store, JULY_2, JULY_2, JULY_3, by_request_id)
    assert len(window) == 3 and window.repeated == 3
    assert window.probabilities[-1] == np.float32(0.5)  # the first of the two


def test_a_period_without_flights_is_an_empty_window(log: Path, store: LabelStore) -> None:
    window = read_window(log, store, date(2012, 1, 1), date(2012, 1, 2), JULY_3, by_request_id)
    assert len(window) == 0 and window.matrix.shape == (0, len(NAMES))
    assert len(window.outcomes()) == 0


def test_parts_of_a_window(log: Path) -> None:
    window = read_window(log, None, JULY_1, JULY_3, JULY_3, by_request_id)
    part = window.between(JULY_2, JULY_3)
    assert part.day.astype(str).tolist() == ["2013-07-02"] * 3 + ["2013-07-03"]
    assert part.vocabulary is window.vocabulary and part.as_of == JULY_3
    assert len(part.of(part.probabilities > 0.2)) == 2


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no prediction log"):
        read_window(tmp_path / "nothing", None, JULY_1, JULY_2, JULY_3)


def test_a_window_of_the_real_log_is_the_table_behind_it(logged, reference) -> None:
    with LabelStore(logged.labels) as labels:
        window = read_window(
            logged.log, labels, date(2013, 8, 1), date(2013, 8, 31), date(2013, 9, 30),
            by_request_id, reference.bins.vocabulary,
        )  # fmt: skip
    table = logged.flights[logged.flights["departure"].dt.month == 8]
    assert np.array_equal(window.day, table["departure"].to_numpy().astype("datetime64[D]"))
    assert np.array_equal(window.late == 1, table["late"].to_numpy())
    assert window.names("destination").tolist() == [
        name if name in window.vocabulary["destination"] else None for name in table["destination"]
    ]
