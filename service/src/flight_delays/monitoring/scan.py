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
_FIRST_RECORDS = 8  # a record may be 10,000 rows
_MOST_RECORDS = 500  # at a time, small enough for the processor's cache
_FLOAT32 = np.dtype("<f4")
_COLUMNS = "id, received_at, version, rows, features, probabilities, request_id"


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
    request_ids: bool = True,
) -> Iterator[Scanned]:
    """Read the requests after a record, and between two times if given; no batch is split.

    Records get ascending numbers in the order of their transactions, so whoever keeps `last_id` and
    hands it over as `after` sees each record once, also beside writers.

    Args:
        after: number of a record; 0 for all.
        since, until: seconds since 1970, UTC; the first included, the second not.
        rows_at_a_time: a chunk has at least so many rows, the last one perhaps fewer.
        request_ids: False leaves them out, where nobody asks for them: they are None.

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
    columns = _COLUMNS if request_ids else _COLUMNS.replace("request_id", "NULL")
    query = f"SELECT {columns} FROM predictions WHERE {' AND '.join(where)}{order}"
    with closing(_open_to_read(path)) as connection:
        cursor = connection.execute(query, values)
        yield from _chunks(cursor, rows_at_a_time)


def _chunks(cursor: sqlite3.Cursor, rows_at_a_time: int) -> Iterator[Scanned]:
    parts, size = _Parts(), _FIRST_RECORDS
    while some := cursor.fetchmany(size):
        largest = max(1, *(record[3] for record in some))
        size = min(_MOST_RECORDS, max(1, rows_at_a_time // largest))
        parts.add(some)
        if parts.rows >= rows_at_a_time:
            yield parts.joined()
            parts = _Parts()
    if parts.rows:
        yield parts.joined()


class _Parts:
    """Records taken apart as soon as they are read: a hundred thousand tuples that live on would
    cost the garbage collector more time than reading them takes."""

    def __init__(self) -> None:
        self.rows = 0
        self._last_id = 0
        self._counts: list[NDArray[np.int64]] = []
        self._features, self._probabilities = bytearray(), bytearray()
        self._received_at: list[NDArray[np.float64]] = []
        self._versions: list[NDArray[np.object_]] = []
        self._request_ids: list[NDArray[np.object_]] = []

    def add(self, records: list[tuple]) -> None:
        """Take in some records."""
        ids, received_at, version, rows, features, probabilities, request_id = zip(
            *records, strict=True
        )
        counts = np.array(rows, np.int64)
        _check(ids, counts, features, len(NAMES))
        _check(ids, counts, probabilities, 1)
        self.rows += int(counts.sum())
        self._last_id = max(self._last_id, *ids)
        self._counts.append(counts)
        self._features += b"".join(features)
        self._probabilities += b"".join(probabilities)
        self._received_at.append(np.array(received_at, float))
        self._versions.append(np.array(version, object))
        self._request_ids.append(np.array(request_id, object))

    def joined(self) -> Scanned:
        """All of it, one entry a row."""
        counts = np.concatenate(self._counts)
        before = np.cumsum(counts) - counts

        def each(parts: list[NDArray]) -> NDArray:
            return np.repeat(np.concatenate(parts), counts)

        chunk = LogChunk(
            matrix=np.frombuffer(self._features, _FLOAT32).reshape(-1, len(NAMES)),
            probabilities=np.frombuffer(self._probabilities, _FLOAT32),
            request_id=each(self._request_ids),
            row=np.arange(self.rows) - np.repeat(before, counts),
            received_at=each(self._received_at),
            version=each(self._versions),
        )
        return Scanned(chunk, self._last_id)


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
