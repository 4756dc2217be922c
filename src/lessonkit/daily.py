"""A table of flights asked of the running service a day at a time, as if each day were today.

The request ids begin with the day of the flights, `20130701-0000-0`, by which the service's monitoring knows the day:
the clock on the wall says when this ran, not when the flights flew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from flight_delays.bundle import Bundle, run_model
from flight_delays.features import encode
from flight_delays.flights import columns_of
from flight_delays.pipeline.client import as_json
from flight_delays.prediction_log import PredictionLog

AT_ONCE = 10_000  # flights in a request, the service's limit


def ask_by_day(client: httpx.Client, flights: pd.DataFrame) -> pd.DataFrame:
    """Send each day's flights to `POST /v1/predictions`.

    Parameters
    ----------
    client
        Its base address is the service's.
    flights
        From `flight_delays.flights.load_flights`, or some rows of it.

    Returns
    -------
    The flights in the order in which they were sent, with `request_id` and `row`, the flight's place in its request.

    Raises
    ------
    httpx.HTTPStatusError
        The service refused a request.
    """
    sent = []
    for request_id, some in _requests(flights):
        reply = client.post(
            "/v1/predictions", json={"flights": as_json(columns_of(some))}, headers={"X-Request-ID": request_id}
        )
        reply.raise_for_status()
        sent.append(some.assign(request_id=request_id, row=np.arange(len(some))))
    return pd.concat(sent, ignore_index=True)


def log_days(path: Path, bundle: Bundle, flights: pd.DataFrame) -> None:
    """Write the flights into a prediction log, as the service does that answers them; the file is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with PredictionLog(path) as log:
        log.know(bundle.version, bundle.vocabulary)
        for request_id, some in _requests(flights):
            columns = columns_of(some)
            matrix = encode(columns, bundle.vocabulary)
            received_at = some["departure"].iloc[0].timestamp()
            said = run_model(bundle.session, matrix)
            log.append(request_id, received_at, bundle.version, matrix, said, bundle.unknown(columns))


def _requests(flights: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The flights of each day, at most `AT_ONCE` of them, with the id of their request."""
    for day, table in flights.groupby(flights["departure"].dt.strftime("%Y%m%d"), sort=True):
        for part in range(0, len(table), AT_ONCE):
            yield f"{day}-0000-{part // AT_ONCE}", table.iloc[part : part + AT_ONCE]
