"""One model, its reference, a log and labels of some months, for all tests of monitoring.

The model is of January to June. The log holds July to September, one request for each hour of a
day, with the flight's day in the request id. Labels come two days after the flight, those of late
flights one to five days later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flight_delays.bundle import Bundle, load_bundle, run_model
from flight_delays.features import encode
from flight_delays.flights import columns_of
from flight_delays.monitoring.labels import Label, LabelStore
from flight_delays.monitoring.reference import Reference, make_reference
from flight_delays.prediction_log import PredictionLog

FIRST, LAST = date(2013, 7, 1), date(2013, 9, 30)


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> Bundle:
    """The model of January to June."""
    return load_bundle(bundle_folder)


@pytest.fixture(scope="session")
def reference(bundle: Bundle, window: pd.DataFrame) -> Reference:
    """Its reference, of the same months."""
    return make_reference(bundle, window, date(2013, 1, 1), date(2013, 6, 30))


@dataclass(frozen=True)
class Logged:
    """What a service would have left: a prediction log, and labels in a store.

    Attributes:
        flights: the table behind it, in the order of the log.
    """

    log: Path
    labels: Path
    flights: pd.DataFrame


@pytest.fixture(scope="session")
def later(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights of July to September."""
    return between(flights, FIRST, LAST)


@pytest.fixture(scope="session")
def logged(bundle: Bundle, later: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Log and labels of July to September; nobody may change them."""
    return log_flights(tmp_path_factory.mktemp("logged"), bundle, later)


@pytest.fixture(scope="session")
def make_log() -> Callable[[Path, Bundle, pd.DataFrame], Logged]:
    """Log any flights, for tests that need other ones; see `log_flights`."""
    return log_flights


@pytest.fixture(scope="session")
def days_between() -> Callable[[pd.DataFrame, date, date], pd.DataFrame]:
    """Cut days out of a table; see `between`."""
    return between


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    """An empty store of labels."""
    with LabelStore(tmp_path / "labels.sqlite") as store:
        yield store


def between(flights: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The flights of some days, both included."""
    end = pd.Timestamp(last) + pd.Timedelta(days=1)
    return flights[(flights["departure"] >= pd.Timestamp(first)) & (flights["departure"] < end)]


def log_flights(folder: Path, bundle: Bundle, flights: pd.DataFrame) -> Logged:
    """Log the bundle's predictions, a request for each hour, and store the labels."""
    flights = flights.sort_values("departure", kind="stable")
    log, labels = folder / "predictions.sqlite", folder / "labels.sqlite"
    matrix = encode(columns_of(flights), bundle.vocabulary)
    probabilities = run_model(bundle.session, matrix)
    hour = flights["departure"].dt.floor("h").to_numpy()
    begins = np.flatnonzero(np.r_[True, hour[1:] != hour[:-1]])
    known: list[Label] = []
    with PredictionLog(log, max_pending_rows=1_000_000) as writer:
        writer.know(bundle.version, bundle.vocabulary)
        for start, stop in zip(begins, [*begins[1:], len(flights)], strict=True):
            moment = pd.Timestamp(hour[start]).to_pydatetime()
            request_id = request_id_of(moment)
            writer.append(
                request_id, moment.replace(tzinfo=UTC).timestamp(), bundle.version,
                matrix[start:stop], probabilities[start:stop], None,
            )  # fmt: skip
            known += labels_of(request_id, moment, flights["late"].to_numpy()[start:stop])
    assert writer.written == len(flights)
    with LabelStore(labels) as store:
        store.add(known)
    return Logged(log, labels, flights)


def request_id_of(moment: datetime) -> str:
    return f"{moment:%Y%m%d-%H%M}-test"


def labels_of(request_id: str, moment: datetime, late: np.ndarray) -> list[Label]:
    """Two days after the flight for a punctual one, three to seven for a late one."""
    return [
        Label(request_id, row, bool(is_late), moment + timedelta(days=2 + is_late * (1 + row % 5)))
        for row, is_late in enumerate(late.tolist())
    ]
