"""Read the prediction log in the order in which it was written, fast and only what is new.

`prediction_log.read_log` sorts by the time of the request and cuts batches to an exact size. Where
the order does not matter that is work for nothing: a log of ten million requests of one flight
each is read in about a third of the time here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES
from flight_delays.prediction_log import LogChunk, _open_to_read

ROWS_AT_A_TIME = 100_000
_RECORDS_AT_A_TIME = 2_000  # a record may be a batch of 10,000 rows
_FLOAT32 = np.dtype("<f4")
_COLUMNS = "id, request_id, received_at, version, rows, features, probabilities"


@dataclass(frozen=True)
class Scanned:
    """Whole requests of the log, and the number of the last record of them."""

    chunk: LogChunk
    last_id: int


def scan(
    path: Path,
    after: int = 0,
    since: float | None = None,
    until: float | None = None,
    rows_at_a_time: int = ROWS_AT_A_TIME,
) -> Iterator[Scanned]:
    """Read the requests after a record, and between two times if given; no batch is split.

    Records get ascending numbers in the order of their transactions, so whoever keeps `last_id` and
    hands it over as `after` sees each record once, also beside writers.

    Args:
        after: number of a record; 0 for all.
        since, until: seconds since 1970, UTC; the first included, the second not.
        rows_at_a_time: a chunk has at least so many rows, the last one perhaps fewer.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a prediction log, or a record in it is damaged.
    """
    where, values = ["id > ?"], [after]
    for bound, operator in ((since, ">="), (until, "<")):
        if bound is not None:
            where.append(f"received_at {operator} ?")
            values.append(bound)
    order = "" if len(values) > 1 else " ORDER BY id"  # else SQLite may use the index of the times
    query = f"SELECT {_COLUMNS} FROM predictions WHERE {' AND '.join(where)}{order}"
    with closing(_open_to_read(path)) as connection:
        cursor = connection.execute(query, values)
        cursor.arraysize = _RECORDS_AT_A_TIME
        yield from _chunks(cursor, rows_at_a_time)


def _chunks(cursor: sqlite3.Cursor, rows_at_a_time: int) -> Iterator[Scanned]:
    records: list[tuple] = []
    rows = 0
    while some := cursor.fetchmany():
        records += some
        rows += sum(record[4] for record in some)
        if rows >= rows_at_a_time:
            yield _join(records)
            records, rows = [], 0
    if records:
        yield _join(records)


def _join(records: list[tuple]) -> Scanned:
    ids, request_id, received_at, version, rows, features, probabilities = zip(
        *records, strict=True
    )
    counts = np.array(rows, np.int64)
    _check(ids, counts, features, len(NAMES))
    _check(ids, counts, probabilities, 1)
    before = np.cumsum(counts) - counts
    chunk = LogChunk(
        matrix=np.frombuffer(b"".join(features), _FLOAT32).reshape(-1, len(NAMES)),
        probabilities=np.frombuffer(b"".join(probabilities), _FLOAT32),
        request_id=np.repeat(np.array(request_id, object), counts),
        row=np.arange(counts.sum()) - np.repeat(before, counts),
        received_at=np.repeat(np.array(received_at, float), counts),
        version=np.repeat(np.array(version, object), counts),
    )
    return Scanned(chunk, max(ids))


def _check(
    ids: tuple[int, ...], counts: NDArray[np.int64], blobs: tuple[bytes, ...], width: int
) -> None:
    found = np.fromiter(map(len, blobs), np.int64, len(blobs))
    wrong = found != counts * width * _FLOAT32.itemsize
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"prediction log: record {ids[at]}: expected {counts[at]} rows of {width} numbers of "
            f"4 bytes, found {found[at]} bytes"
        )
