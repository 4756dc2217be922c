"""The log of all predictions, for monitoring: SQLite, written off the hot path.

`append` puts a request into a queue; one thread turns the queue into rows, a transaction every
half a second. Several processes may write one file. A process that is killed loses what came
after its last transaction; one that closes the log loses nothing. (After a power cut the last
seconds may be missing, since a commit does not wait for the disk; the file stays sound.)

Do not move or delete the file while a process writes it: SQLite cannot notice.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from flight_delays.features import NAMES, Vocabulary

SCHEMA_VERSION = 1  # SQLite's user_version
SCHEMA = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    received_at REAL NOT NULL,    -- seconds since 1970, UTC
    version TEXT NOT NULL,
    rows INTEGER NOT NULL,
    features BLOB NOT NULL,       -- little-endian float32, rows x 15, from features.encode
    probabilities BLOB NOT NULL,  -- little-endian float32, rows
    unknown TEXT                  -- JSON, feature to values the model never saw; NULL for none
);
CREATE INDEX predictions_received_at ON predictions (received_at);
CREATE INDEX predictions_request_id ON predictions (request_id);
CREATE TABLE vocabularies (
    version TEXT PRIMARY KEY,
    vocabulary TEXT NOT NULL      -- JSON, category feature to its values, each with its code
);
"""
_COLUMNS = ("request_id", "received_at", "version", "rows", "features", "probabilities", "unknown")

BUSY_TIMEOUT_S = 0.5  # how long SQLite waits for another writer; then the transaction is retried
OPEN_TIMEOUT_S = 5.0
# In one statement, for which SQLite gives up the interpreter's lock once. With a statement for each
# request the writer has to get that lock back every time from the busy thread that answers
# requests; it needs a third more CPU and can fall behind. 128 keeps the lock short and the
# statement below 1,000 parameters, which is all that older SQLites take.
REQUESTS_A_TRANSACTION = 128

_FLOAT32 = np.dtype("<f4")
_log = logging.getLogger(__name__)

_Unknown = Mapping[str, list[str | None]] | None
_Request = tuple[str, float, str, int, NDArray[np.float32], NDArray[np.float32], _Unknown]
_Record = tuple[str, float, str, int, bytes, bytes, str | None]


class PredictionLog:
    """Write predictions to a file in the background; a context manager.

    Counters, all but `errors` in rows (flights, not requests):
        pending: taken in, not yet in the file.
        written: in the file.
        dropped: lost: too much was pending, or the file could not be written when the log closed.
        errors: transactions that failed. Their rows stay pending and are tried again.
    """

    def __init__(self, path: Path, max_pending_rows: int = 200_000, flush_s: float = 0.5) -> None:
        """Open the file, or make it and its folder.

        Args:
            max_pending_rows: bound of the queue. A row takes about 70 bytes of memory in a batch
                and about 650 bytes when it came alone.
            flush_s: seconds between two transactions.

        Raises:
            OSError: the file cannot be opened; the message names it and the reason.
            ValueError: the file is another database, or was made by another release.
        """
        self.path = Path(path)
        self.pending = self.written = self.dropped = self.errors = 0
        self._max_pending = max_pending_rows
        self._hurry_at = max_pending_rows // 4
        self._flush_s = flush_s
        self._queue: deque[_Request] = deque()
        self._records: list[_Record] = []  # out of the queue, not yet in the file
        self._vocabularies: dict[str, str] = {}
        self._kept: set[str] = set()  # versions whose vocabulary is in the file
        self._lock = threading.Lock()  # guards the counters and `_closing`
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failing = False
        self._told_dropped = 0
        self._connection: sqlite3.Connection | None = _open(self.path)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def know(self, version: str, vocabulary: Vocabulary) -> None:
        """Keep a version's vocabulary in the file, so that its codes can be read for ever."""
        text = json.dumps({name: dict(codes) for name, codes in vocabulary.items()})
        self._vocabularies[version] = text

    def append(
        self,
        request_id: str,
        received_at: float,
        version: str,
        matrix: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        unknown: _Unknown,
    ) -> bool:
        """Take in one request: never waits for the disk, never raises.

        Args:
            received_at: seconds since 1970, UTC.
            matrix: from `features.encode`, shape (rows, features). Neither array may be changed
                afterwards.
            unknown: from `features.unknown_values`; None or empty if all values are known.

        Returns:
            False if the request was dropped: too much is pending, or the log is closed.
        """
        rows = len(probabilities)
        with self._lock:  # held for a few instructions, here and elsewhere
            if self.pending + rows > self._max_pending or self._closing.is_set():
                self.dropped += rows
                return False
            self.pending += rows
            self._queue.append(
                (request_id, received_at, version, rows, matrix, probabilities, unknown)
            )
            hurry = self.pending > self._hurry_at
        if hurry:
            self._wake.set()
        return True

    def close(self) -> None:
        """Write all that is pending and stop. If the file cannot be written, say what is lost."""
        with self._lock:
            self._closing.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        done = True
        while not self._closing.is_set():
            # After a failure only the end wakes it early: a long queue must not make it try again
            # without a pause.
            (self._wake if done else self._closing).wait(self._flush_s)
            self._wake.clear()
            if not self._closing.is_set():
                done = self._flush()
        # Nothing is taken in any more. The second try has a fresh connection.
        if not (self._flush() or self._flush()):
            _log.error("%s: %d rows are lost: it could not be written", self.path, self.pending)
        with self._lock:
            self.dropped += self.pending
            self.pending = 0
        self._disconnect()

    def _flush(self) -> bool:
        """Write what is pending now; return False if that failed."""
        waiting = len(self._queue)  # what comes in meanwhile can wait for the next time
        try:
            while waiting > 0 or self._records or len(self._kept) < len(self._vocabularies):
                waiting -= self._take()
                self._write()
        except Exception as error:  # whatever it is, the thread goes on and loses nothing
            self._note_failure(error)
            return False
        if self._failing:
            self._failing = False
            _log.warning("%s: written again", self.path)
        if self.dropped > self._told_dropped:
            self._told_dropped = self.dropped
            _log.warning(
                "%s: %d rows dropped so far; more than %d were pending",
                self.path,
                self.dropped,
                self._max_pending,
            )
        return True

    def _take(self) -> int:
        """Move requests from the queue to `_records`, up to one transaction's worth; count them."""
        taken = 0
        while self._queue and len(self._records) < REQUESTS_A_TRANSACTION:
            request = self._queue.popleft()
            taken += 1
            try:
                self._records.append(_as_record(request))
            except (TypeError, ValueError, AttributeError) as error:
                # A fault of the caller. It must not hold up the others for ever.
                _log.error("%s: request %r dropped: %s", self.path, request[0], error)
                with self._lock:
                    self.pending -= request[3]
                    self.dropped += request[3]
                    self._told_dropped += request[3]
        return taken

    def _write(self) -> None:
        """Write `_records` and the vocabularies in one transaction."""
        if self._connection is None:
            self._connection = _open(self.path)
        vocabularies = dict(self._vocabularies)  # `know` may add one meanwhile
        with self._connection as connection:  # commits, or rolls back
            connection.executemany(
                "INSERT OR IGNORE INTO vocabularies VALUES (?, ?)",
                [item for item in vocabularies.items() if item[0] not in self._kept],
            )
            for records in _in_powers_of_two(self._records):
                connection.execute(_insert(len(records)), list(chain.from_iterable(records)))
        rows = sum(record[3] for record in self._records)
        self._records = []
        with self._lock:
            self.pending -= rows
            self.written += rows
        self._kept.update(vocabularies)

    def _note_failure(self, error: Exception) -> None:
        self.errors += 1
        if not self._failing:  # once, not twice a second for as long as the disk is full
            self._failing = True
            _log.error(
                "%s: not written, %d rows are pending and will be tried again: %s: %s",
                self.path,
                self.pending,
                type(error).__name__,
                error,
            )
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._kept.clear()  # the next connection may find another file
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


@dataclass(frozen=True)
class LogChunk:
    """Some flights of the log, in the order in which they were received.

    Attributes, one entry a flight:
        matrix: shape (rows, features), float32, columns as in `features.FEATURES`.
        probabilities: float32.
        request_id: object array of str.
        row: position of the flight in its request, int64.
        received_at: seconds since 1970, UTC, float64.
        version: object array of str.
    """

    matrix: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    request_id: NDArray[np.object_]
    row: NDArray[np.int64]
    received_at: NDArray[np.float64]
    version: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.probabilities)


def read_log(
    path: Path,
    since: float | None = None,
    until: float | None = None,
    rows_at_a_time: int = 100_000,
) -> Iterator[LogChunk]:
    """Read the flights received at `since` or later and before `until`.

    What is read is the log of one moment, also while it is being written. Writers are not held up;
    their file grows while a reader is open, so do not let one wait for long.

    Args:
        since, until: seconds since 1970, UTC; None for no bound.
        rows_at_a_time: rows of a chunk; the last one may have fewer. A batch may be split.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a prediction log, or a record in it is damaged.
    """
    if rows_at_a_time < 1:
        raise ValueError(f"rows_at_a_time: expected 1 or more, found {rows_at_a_time}")
    since = -math.inf if since is None else since
    until = math.inf if until is None else until
    _open_to_read(path).close()  # tells of a wrong file now, not at the first chunk
    return _read_chunks(path, since, until, rows_at_a_time)


def read_vocabularies(path: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Return each version's vocabulary: category feature to its values, each with its code.

    Raises:
        FileNotFoundError, ValueError: see `read_log`.
    """
    with closing(_open_to_read(path)) as connection:
        found = connection.execute("SELECT version, vocabulary FROM vocabularies")
        return {version: json.loads(text) for version, text in found}


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Two connections that make the same file at once get in each other's way.
        with FileLock(f"{path}.lock", timeout=OPEN_TIMEOUT_S, poll_interval=0.01):
            connection = sqlite3.connect(
                path, BUSY_TIMEOUT_S, isolation_level="IMMEDIATE", check_same_thread=False
            )
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
            return connection
    except (sqlite3.Error, Timeout) as error:
        raise OSError(f"{path}: cannot be opened as a prediction log: {error}") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0:
        connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    _check_schema(connection, path)
    connection.execute("PRAGMA synchronous = NORMAL")  # of this connection


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: not a prediction log of this release: expected user_version "
            f"{SCHEMA_VERSION}, found {found}"
        )


def _open_to_read(path: Path) -> sqlite3.Connection:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no prediction log there")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            _check_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise ValueError(f"{path}: cannot be read as a prediction log: {error}") from error
    return connection


def _as_record(request: _Request) -> _Record:
    """Turn a request into what SQLite stores.

    Raises:
        TypeError, ValueError, AttributeError: it cannot be stored.
    """
    request_id, received_at, version, rows, matrix, probabilities, unknown = request
    if matrix.shape != (rows, len(NAMES)) or probabilities.shape != (rows,):
        raise ValueError(
            f"expected arrays of shape ({rows}, {len(NAMES)}) and ({rows},), "
            f"found {matrix.shape} and {probabilities.shape}"
        )
    if not math.isfinite(received_at):
        raise ValueError(f"received_at: expected seconds since 1970, found {received_at}")
    request_id.encode(), version.encode()  # half a surrogate pair cannot be stored
    return (
        request_id,
        float(received_at),
        version,
        rows,
        matrix.astype(_FLOAT32, copy=False).tobytes(),
        probabilities.astype(_FLOAT32, copy=False).tobytes(),
        json.dumps(unknown) if unknown else None,
    )


def _in_powers_of_two(records: list[_Record]) -> Iterator[list[_Record]]:
    """Cut into runs of 128, 64, 32, ... so that only eight statements are ever prepared."""
    start, size = 0, REQUESTS_A_TRANSACTION
    while start < len(records):
        while size > len(records) - start:
            size //= 2
        yield records[start : start + size]
        start += size


@cache
def _insert(requests: int) -> str:
    values = f"({', '.join('?' * len(_COLUMNS))})"
    return (
        f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES {', '.join([values] * requests)}"
    )


def _read_chunks(path: Path, since: float, until: float, limit: int) -> Iterator[LogChunk]:
    with closing(_open_to_read(path)) as connection:
        for pieces in _read_pieces(connection, since, until, limit):
            yield _join(pieces)


def _read_pieces(
    connection: sqlite3.Connection, since: float, until: float, limit: int
) -> Iterator[list[_Piece]]:
    """Cut the records so that each list has `limit` rows, the last one perhaps fewer."""
    records = connection.execute(
        f"SELECT id, {', '.join(_COLUMNS[:-1])} FROM predictions "
        "WHERE received_at >= ? AND received_at < ? ORDER BY received_at, id",
        (since, until),
    )
    pieces: list[_Piece] = []
    room = limit
    for record in records:
        _check_record(record)
        start, rows = 0, record[4]
        while start < rows:
            stop = min(rows, start + room)
            pieces.append(_Piece(record, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield pieces
                pieces, room = [], limit
    if pieces:
        yield pieces


class _Piece(NamedTuple):
    """Some rows of one record."""

    record: tuple[int, str, float, str, int, bytes, bytes]
    start: int
    stop: int

    def cut(self, blob: bytes) -> memoryview | bytes:
        width = len(blob) // self.record[4]
        return memoryview(blob)[self.start * width : self.stop * width]


def _check_record(record: tuple[int, str, float, str, int, bytes, bytes]) -> None:
    number, _, _, _, rows, features, probabilities = record
    found = len(features), len(probabilities)
    expected = rows * len(NAMES) * _FLOAT32.itemsize, rows * _FLOAT32.itemsize
    if found != expected:
        raise ValueError(
            f"prediction log: record {number}: expected {expected[0]} bytes of features and "
            f"{expected[1]} of probabilities for {rows} rows, found {found[0]} and {found[1]}"
        )


def _join(pieces: list[_Piece]) -> LogChunk:
    counts = np.array([piece.stop - piece.start for piece in pieces])
    first = np.array([piece.start for piece in pieces])
    before = np.cumsum(counts) - counts  # rows of the chunk before each piece
    records = [piece.record for piece in pieces]

    def floats(column: int) -> NDArray[np.float32]:
        joined = bytearray().join(piece.cut(piece.record[column]) for piece in pieces)
        return np.frombuffer(joined, _FLOAT32)

    def each(column: int, dtype: type) -> NDArray:
        return np.repeat(np.array([record[column] for record in records], dtype), counts)

    return LogChunk(
        matrix=floats(5).reshape(-1, len(NAMES)),
        probabilities=floats(6),
        request_id=each(1, object),
        row=np.arange(counts.sum()) + np.repeat(first - before, counts),
        received_at=each(2, float),
        version=each(3, object),
    )
