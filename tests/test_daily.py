"""Flights asked a day at a time leave the same log as flights that are written into one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.flights import load_flights
from flight_delays.monitoring.clock import by_request_id, day_of
from flight_delays.prediction_log import LogChunk, read_log
from lessonkit.daily import ask_by_day, log_days
from lessonkit.servers import flight_delays
from lessonkit.shelf import build_bundles


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return load_flights()


@pytest.fixture(scope="module")
def bundle_folder(flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bundles")
    [version] = build_bundles(flights, date(2013, 2, 15), [0.25], place)
    return place / version


def read(path: Path) -> LogChunk:
    [chunk] = read_log(path)
    return chunk


def test_a_log_that_is_written_is_the_one_that_the_service_writes(
    flights: pd.DataFrame, bundle_folder: Path, tmp_path: Path
) -> None:
    few = flights[flights["departure"].between("2013-03-01", "2013-03-03")].iloc[::20]
    state = tmp_path / "state"
    with (
        flight_delays(bundle_folder, state=state) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        asked = ask_by_day(client, few)
    bundle: Bundle = load_bundle(bundle_folder)
    log_days(tmp_path / "new" / "log.sqlite", bundle, few)
    served, written = read(state / "predictions.sqlite"), read(tmp_path / "new" / "log.sqlite")
    assert served.request_id.tolist() == written.request_id.tolist() == asked["request_id"].tolist()
    assert served.row.tolist() == asked["row"].tolist()
    assert np.array_equal(served.matrix, written.matrix, equal_nan=True)
    assert np.allclose(served.probabilities, written.probabilities, atol=1e-6)
    days = day_of(by_request_id(served))
    assert days.tolist() == asked["departure"].dt.date.tolist()
