"""The store of labels: what became of the flights, joined to the prediction log by request id.

Labels come days after the prediction, some never, some twice, some are corrected, and some come
before the log has written the request. The store keeps every distinct label it was given, so that
it can tell what was known at any moment: a decision of 30 September, computed again in December,
sees what it saw in September.

Needs the standard library and NumPy only.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from flight_delays.prediction_log import LogChunk

SCHEMA_VERSION = 1  # SQLite's user_version
SCHEMA = """
CREATE TABLE labels (
    request_id TEXT NOT NULL,
    row INTEGER NOT NULL,         -- position of the flight in its request
    known_at INTEGER NOT NULL,    -- seconds since 1970, on the clock of the caller
    late INTEGER NOT NULL,        -- 0 or 1
    times INTEGER NOT NULL,       -- how often exactly this label came
    PRIMARY KEY (request_id, row, known_at, late)
) WITHOUT ROWID;
"""
_INSERT = """
INSERT INTO labels VALUES (?, ?, ?, ?, 1)
ON CONFLICT DO UPDATE SET times = times + 1
"""
BUSY_TIMEOUT_S = 10.0
IDS_AT_A_TIME = 20_000
_EPOCH = datetime(1970, 1, 1)


class Label(NamedTuple):
    """What became of one flight.

    Attributes:
        request_id: of the request that asked for it.
        row: position of the flight in that request, 0 for a request of one.
        late: whether it was late.
        known_at: when that was known, to the second: without a time zone on the clock by which
            windows are cut (`clock.py`), with one it is turned into UTC.
    """

    request_id: str
    row: int
    late: bool
    known_at: datetime


@dataclass(frozen=True)
class Counts:
    """What a store has been given.

    Attributes:
        received: labels, all of them.
        flights: for which there is a label.
        doubled: labels that said again what another one had said.
        contradicted: flights for which both answers came; the newest `known_at` holds, and of two
            that were known in the same second "late".
    """

    received: int
    flights: int
    doubled: int
    contradicted: int


class LabelStore:
    """Labels in a SQLite file, which is made if it is not there; a context manager.

    Several processes may use one file. What `add` took is on disk when it returns.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it and its folder.

        Raises:
            OSError: it cannot be opened; the message names it and the reason.
            ValueError: it is another database, or was made by another release.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = _open(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, labels: Iterable[Label]) -> int:
        """Keep labels, all of them or none; to add the same again changes no answer.

        Returns:
            How many were taken.

        Raises:
            ValueError: one of them is no label; none is kept.
        """
        taken = 0

        def records() -> Iterator[tuple[str, int, int, int]]:
            nonlocal taken
            for label in labels:
                yield _as_record(label)
                taken += 1

        with self._connection as connection:  # commits, or rolls back
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, records())
        return taken

    def counts(self) -> Counts:
        """Count what came, what was doubled, and what was contradicted."""
        received, flights, answers = self._connection.execute(
            "SELECT coalesce(sum(times), 0), count(*), coalesce(sum(answers), 0) FROM ("
            "SELECT sum(times) AS times, count(DISTINCT late) AS answers FROM labels "
            "GROUP BY request_id, row)"
        ).fetchone()
        return Counts(received, flights, received - answers, answers - flights)

    def waiting(self, log: Path) -> int:
        """Count the flights with a label that the log does not know (yet): they wait for it.

        Raises:
            FileNotFoundError: there is no such log.
        """
        log = Path(log)
        if not log.is_file():
            raise FileNotFoundError(f"{log}: no prediction log there")
        with closing(sqlite3.connect(f"{log.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute(
                "ATTACH DATABASE ? AS store", (f"{self.path.absolute().as_uri()}?mode=ro",)
            )
            (count,) = connection.execute(
                "SELECT count(*) FROM (SELECT DISTINCT request_id, row FROM store.labels) AS label "
                "WHERE NOT EXISTS (SELECT 1 FROM predictions AS asked "
                "WHERE asked.request_id = label.request_id AND label.row < asked.rows)"
            ).fetchone()
        return count

    def join(self, chunk: LogChunk, as_of: date | datetime) -> NDArray[np.float32]:
        """Return the label of each flight of a chunk as it was known then.

        Args:
            as_of: a day stands for its end, a moment for itself.

        Returns:
            Shape (rows,), float32: 1 late, 0 punctual, NaN not known.
        """
        numbers: dict[str, int] = {}
        code = np.fromiter(
            (numbers.setdefault(name, len(numbers)) for name in chunk.request_id),
            np.int64,
            len(chunk),
        )
        found = self._find(list(numbers), as_of)
        late = np.full(len(chunk), np.nan, np.float32)
        if len(found) == 0:
            return late
        width = max(int(chunk.row.max()), int(found[:, 1].max())) + 1
        key = found[:, 0] * width + found[:, 1]
        # In order of `known_at`, so the last one of a key is the one that holds.
        order = np.argsort(key, kind="stable")
        key, value = key[order], found[order, 2]
        wanted = code * width + chunk.row
        place = np.searchsorted(key, wanted, "right") - 1
        known = (place >= 0) & (key[place] == wanted)
        late[known] = value[place[known]]
        return late

    def _find(self, request_ids: list[str], as_of: date | datetime) -> NDArray[np.int64]:
        """Find the labels of requests; columns position of the id, row, late; oldest first."""
        pieces = [np.empty((0, 3), np.int64)]
        for start in range(0, len(request_ids), IDS_AT_A_TIME):
            some = request_ids[start : start + IDS_AT_A_TIME]
            rows = self._connection.execute(
                "SELECT asked.key, label.row, label.late "
                "FROM json_each(?) AS asked CROSS JOIN labels AS label "
                "ON label.request_id = asked.value WHERE label.known_at <= ? "
                "ORDER BY label.known_at, label.late",
                (json.dumps(some), _last_second(as_of)),
            ).fetchall()
            if rows:
                piece = np.array(rows, np.int64)
                piece[:, 0] += start
                pieces.append(piece)
        return np.concatenate(pieces)


def read_labels(path: Path) -> Iterator[Label]:
    """Read labels from a CSV file with the columns request_id, row, late (0 or 1), known_at.

    Raises:
        ValueError: a column is missing, or a line is no label; the message names the line.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(Label._fields) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path}: column {min(missing)} is missing")
        for line in reader:
            try:
                yield Label(
                    line["request_id"],
                    int(line["row"]),
                    {"0": False, "1": True}[line["late"]],
                    datetime.fromisoformat(line["known_at"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: line {reader.line_num}: no label: {error}") from None


def _open(path: Path) -> sqlite3.Connection:
    try:
        with FileLock(f"{path}.lock", timeout=BUSY_TIMEOUT_S, poll_interval=0.01):
            connection = sqlite3.connect(path, BUSY_TIMEOUT_S, isolation_level=None)
            try:
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                if tables == 0:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(
                        f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                    )
                (found,) = connection.execute("PRAGMA user_version").fetchone()
                if found != SCHEMA_VERSION or not _has_labels(connection):
                    raise ValueError(
                        f"{path}: not a store of labels of this release: expected user_version "
                        f"{SCHEMA_VERSION}, found {found}"
                    )
                connection.execute("PRAGMA synchronous = FULL")
            except BaseException:
                connection.close()
                raise
            return connection
    except (sqlite3.Error, Timeout) as error:
        raise OSError(f"{path}: cannot be opened as a store of labels: {error}") from error


def _has_labels(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'labels'").fetchone()
    return found is not None


def _as_record(label: Label) -> tuple[str, int, int, int]:
    request_id, row, late, known_at = label
    if not (isinstance(request_id, str) and request_id):
        raise ValueError(f"label: expected a request id, found {request_id!r}")
    if not isinstance(row, int | np.integer) or row < 0:
        raise ValueError(f"label of {request_id}: expected a row from 0 on, found {row!r}")
    if late not in (0, 1):  # also False, True and NumPy's; not None, not NaN
        raise ValueError(f"label of {request_id}, row {row}: expected late or not, found {late!r}")
    return request_id, int(row), _seconds(known_at), int(late)


def _seconds(moment: datetime) -> int:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - _EPOCH) // timedelta(seconds=1)


def _last_second(as_of: date | datetime) -> int:
    if isinstance(as_of, datetime):
        return _seconds(as_of)
    return _seconds(datetime(as_of.year, as_of.month, as_of.day) + timedelta(days=1)) - 1
