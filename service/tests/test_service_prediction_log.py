"""The prediction log: nothing lost but what is told, the service never held up."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import flight_delays
from flight_delays import prediction_log
from flight_delays.features import NAMES
from flight_delays.prediction_log import PredictionLog, read_log, read_vocabularies

PROCESSES = Path(__file__).with_name("log_processes.py")
WAIT_S = 30  # far more than is needed; a test that runs into it fails


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.db"


def rows_of(value: float, rows: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A matrix and probabilities whose every row differs."""
    matrix = np.arange(rows * len(NAMES), dtype=np.float32).reshape(rows, -1) + np.float32(value)
    return matrix, np.linspace(0, 1, rows, dtype=np.float32)


def append(log: PredictionLog, number: int, rows: int = 1, at: float | None = None) -> bool:
    at = float(number) if at is None else at
    return log.append(f"r-{number}", at, "v", *rows_of(number, rows), None)


def ids_in(path: Path) -> list[str]:
    return [name for chunk in read_log(path) for name in chunk.request_id]


class Heard(logging.Handler):
    """What the log reports, each kind with an event to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.failed, self.recovered = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.messages.append(message)
        if "not written" in message:
            self.failed.set()
        if "written again" in message:
            self.recovered.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    prediction_log._log.addHandler(handler)
    yield handler
    prediction_log._log.removeHandler(handler)


# What goes in comes out


def test_single_rows_and_batches_come_back_exactly(path):
    single, one = rows_of(0.1)
    single[0, 7] = np.nan
    batch, many = rows_of(-1, 1000)
    with PredictionLog(path) as log:
        assert log.append("a", 1000.25, "v1", single, one, {"carrier": ["ZZ", None]})
        assert log.append("b", 1001.5, "v2", batch, many, {})
        assert log.append("a", 1002.0, "v2", *rows_of(3), None)  # a client may repeat its id
    assert (log.pending, log.written, log.dropped, log.errors) == (0, 1002, 0, 0)

    (chunk,) = read_log(path)
    assert len(chunk) == 1002
    np.testing.assert_array_equal(chunk.matrix, np.concatenate([single, batch, rows_of(3)[0]]))
    np.testing.assert_array_equal(chunk.probabilities, np.concatenate([one, many, [0]]))
    assert (chunk.matrix.dtype, chunk.probabilities.dtype) == (np.float32, np.float32)
    assert chunk.request_id.tolist() == ["a"] + ["b"] * 1000 + ["a"]
    assert chunk.row.tolist() == [0, *range(1000), 0]
    assert chunk.received_at.tolist() == [1000.25] + [1001.5] * 1000 + [1002.0]
    assert chunk.version.tolist() == ["v1"] + ["v2"] * 1001
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT rows, unknown FROM predictions ORDER BY id").fetchall()
    assert [(rows, text and json.loads(text)) for rows, text in found] == [
        (1, {"carrier": ["ZZ", None]}),
        (1000, None),
        (1, None),
    ]


def test_probabilities_may_be_a_view_of_the_models_output(path):
    output = np.arange(20, dtype=np.float32).reshape(10, 2)
    with PredictionLog(path) as log:
        log.append("a", 0, "v", rows_of(0, 10)[0], output[:, 1], None)
    (chunk,) = read_log(path)
    assert chunk.probabilities.tolist() == output[:, 1].tolist()


def test_vocabularies_are_kept(path):
    first, second = {"carrier": {"AA": 0, "UA": 1}}, {"carrier": {"UA": 0}}
    with PredictionLog(path) as log:
        log.know("v1", first)
        append(log, 1)
    with PredictionLog(path) as log:
        log.know("v1", first)
        log.know("v2", second)
    assert read_vocabularies(path) == {"v1": first, "v2": second}


def test_a_path_with_characters_that_mean_something_in_a_uri(tmp_path):
    path = tmp_path / "a b#c%41.db"
    with PredictionLog(path) as log:
        append(log, 1)
    assert {name.name for name in tmp_path.iterdir()} == {path.name, f"{path.name}.lock"}
    assert ids_in(path) == ["r-1"]


@pytest.mark.parametrize("requests", [1, 127, 128, 129, 1000])
def test_any_number_of_requests(path, requests):
    with PredictionLog(path, flush_s=3600) as log:
        for number in range(requests):
            append(log, number)
    assert ids_in(path) == [f"r-{number}" for number in range(requests)]


def test_few_statements_serve_any_number_of_requests():
    """sqlite3 keeps 128 prepared statements; one for each number of requests would push out all."""
    records = [("a", 0.0, "v", 1, b"", b"", None)] * 1000
    for requests in range(1001):
        runs = list(prediction_log._in_powers_of_two(records[:requests]))
        assert sum(map(len, runs)) == requests
        assert {len(run) for run in runs} <= {1, 2, 4, 8, 16, 32, 64, 128}


def test_what_was_written_before_is_kept(path):
    for number in range(3):
        with PredictionLog(path) as log:
            append(log, number)
    assert ids_in(path) == ["r-0", "r-1", "r-2"]


# Bounds, and the end


def test_the_queue_is_bounded_and_drops_are_counted(path, heard):
    with PredictionLog(path, max_pending_rows=100, flush_s=3600) as log:
        assert append(log, 1, rows=25)  # a quarter does not yet hurry the thread
        assert not append(log, 2, rows=76)
        assert (log.pending, log.dropped) == (25, 76)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # from here on nothing can be written
            assert append(log, 3, rows=75)
            taken = [append(log, number) for number in range(4, 1000)]
            assert (any(taken), log.pending, log.dropped) == (False, 100, 76 + 996)
    assert (log.pending, log.written, log.dropped) == (0, 100, 76 + 996)
    assert Counter(ids_in(path)) == {"r-1": 25, "r-3": 75}
    assert any(f"{76 + 996} rows dropped so far" in message for message in heard.messages)


@pytest.fixture
def wrote(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set after each transaction."""
    wrote = threading.Event()
    write = PredictionLog._write

    def write_and_tell(self: PredictionLog) -> None:
        write(self)
        wrote.set()

    monkeypatch.setattr(PredictionLog, "_write", write_and_tell)
    return wrote


def test_a_long_queue_is_written_before_its_time(path, wrote):
    with PredictionLog(path, max_pending_rows=100, flush_s=3600) as log:
        append(log, 1, rows=26)
        assert wrote.wait(WAIT_S)
        assert (log.pending, log.written) == (0, 26)


def test_a_closed_log_takes_nothing_in(path):
    log = PredictionLog(path)
    append(log, 1)
    log.close()
    log.close()
    assert not append(log, 2)
    assert (log.pending, log.written, log.dropped) == (0, 1, 1)
    assert not Path(f"{path}-wal").exists()  # all of it is in the one file
    assert ids_in(path) == ["r-1"]


def test_many_threads_may_append(path):
    def many(first: int) -> None:
        for number in range(first, first + 500):
            append(log, number)

    with PredictionLog(path, flush_s=0.001) as log:
        threads = [threading.Thread(target=many, args=(first,)) for first in (0, 500, 1000, 1500)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (log.pending, log.written, log.dropped) == (0, 2000, 0)
    assert sorted(ids_in(path)) == sorted(f"r-{number}" for number in range(2000))


@pytest.mark.parametrize(
    "wrong",
    [
        ("a", 1.0, "v", np.zeros((1, 14), np.float32), np.zeros(1, np.float32)),
        ("a", 1.0, "v", np.zeros(15, np.float32), np.zeros(1, np.float32)),
        ("a", 1.0, "v", np.zeros((2, 15), np.float32), np.zeros(1, np.float32)),
        ("a", float("nan"), "v", *rows_of(1)),
        ("a", "now", "v", *rows_of(1)),
        ("\ud800", 1.0, "v", *rows_of(1)),
        (None, 1.0, "v", *rows_of(1)),
        ("a", 1.0, "v", [[0.0] * 15], [0.0]),
    ],
    ids=range(8),
)
def test_a_request_that_cannot_be_stored_does_not_hold_up_the_others(path, heard, wrong):
    with PredictionLog(path) as log:
        append(log, 1)
        assert log.append(*wrong, None)
        append(log, 2)
    assert ids_in(path) == ["r-1", "r-2"]
    assert (log.pending, log.written, log.dropped, log.errors) == (0, 2, 1, 0)
    (message,) = heard.messages
    assert f"request {wrong[0]!r} dropped: " in message


# Errors of the disk


def test_a_full_disk_is_survived_and_nothing_lost(path, heard, monkeypatch):
    opened, full = prediction_log._open, True

    def open_on_full_disk(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        if full:  # SQLite then answers as it does when the disk has no room
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(prediction_log, "_open", open_on_full_disk)
    with PredictionLog(path, max_pending_rows=5_000, flush_s=0.001) as log:
        log.know("v", {"carrier": {"AA": 0}})
        for number in range(500):
            assert append(log, number)
        assert heard.failed.wait(WAIT_S)
        assert append(log, 500)  # the service goes on
        assert log.pending > 0
        assert not append(log, 501, rows=5_001)
        full = False
        assert heard.recovered.wait(WAIT_S)
    assert ids_in(path) == [f"r-{number}" for number in range(501)]
    assert read_vocabularies(path) == {"v": {"carrier": {"AA": 0}}}
    assert (log.pending, log.written, log.dropped) == (0, 501, 5_001)
    assert log.errors > 0
    failures = [message for message in heard.messages if "not written" in message]
    assert len(failures) == 1  # one for the whole time
    assert "database or disk is full" in failures[0]


def test_what_was_half_written_is_not_written_twice(path, heard, monkeypatch):
    """Three requests make two statements, of two and of one; the second fails at first."""
    insert, failures = prediction_log._insert, [sqlite3.OperationalError("disk I/O error")]

    def fail_once(requests: int) -> str:
        if requests == 1 and failures:
            raise failures.pop()
        return insert(requests)

    monkeypatch.setattr(prediction_log, "_insert", fail_once)
    with PredictionLog(path, flush_s=3600) as log:
        for number in range(3):
            append(log, number)
    assert ids_in(path) == ["r-0", "r-1", "r-2"]
    assert (log.written, log.dropped, log.errors) == (3, 0, 1)


def test_a_disk_that_stays_full_is_told_at_the_end(path, heard, monkeypatch):
    with PredictionLog(path, flush_s=0.001) as log:
        append(log, 1)
    opened = prediction_log._open

    def open_on_full_disk(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        connection.execute("PRAGMA max_page_count = 1")  # means: not one more
        return connection

    monkeypatch.setattr(prediction_log, "_open", open_on_full_disk)
    with PredictionLog(path, flush_s=3600) as log:
        append(log, 2, rows=10_000)
    assert (log.pending, log.written, log.dropped, log.errors) == (0, 0, 10_000, 2)
    assert f"{path}: 10000 rows are lost: it could not be written" in heard.messages
    assert ids_in(path) == ["r-1"]


def test_a_file_locked_by_somebody_else_is_survived(path, heard, monkeypatch):
    monkeypatch.setattr(prediction_log, "BUSY_TIMEOUT_S", 0.01)
    with PredictionLog(path, flush_s=0.001) as log:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for number in range(300):
                append(log, number)
            assert heard.failed.wait(WAIT_S)
            assert (log.pending, log.written) == (300, 0)
        assert heard.recovered.wait(WAIT_S)
    assert ids_in(path) == [f"r-{number}" for number in range(300)]
    assert (log.pending, log.written, log.dropped) == (0, 300, 0)


def test_a_damaged_file_that_is_taken_away_is_made_anew(path, heard, wrote):
    with PredictionLog(path, max_pending_rows=4, flush_s=3600) as log:
        log.know("v", {"carrier": {"AA": 0}})
        append(log, 1, rows=2)  # more than a quarter of the bound wakes the thread
        assert wrote.wait(WAIT_S)
        log._disconnect()  # as after any error
        path.write_bytes(b"no database" * 1000)
        log._flush_s = 0.001
        append(log, 2, rows=2)
        assert heard.failed.wait(WAIT_S)
        assert "file is not a database" in heard.messages[0]
        path.unlink()
        assert heard.recovered.wait(WAIT_S)
    assert ids_in(path) == ["r-2", "r-2"]
    assert read_vocabularies(path) == {"v": {"carrier": {"AA": 0}}}


def write_text(path: Path) -> None:
    path.write_text("no database, but long enough to be looked at as one" * 100)


def make_other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def make_newer_log(path: Path) -> None:
    PredictionLog(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("make", "opening", "message"),
    [
        (Path.mkdir, OSError, "cannot be opened as a prediction log: unable to open"),
        (write_text, OSError, "cannot be opened as a prediction log: file is not a database"),
        (make_other_database, ValueError, "not a prediction log of this release: .* found 0"),
        (make_newer_log, ValueError, "not a prediction log of this release: .* found 2"),
    ],
)
def test_a_file_that_is_no_log_is_refused_at_once_and_left_alone(path, make, opening, message):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    threads = threading.active_count()
    with pytest.raises(opening, match=message) as refusal:
        PredictionLog(path)
    assert str(path) in str(refusal.value)
    assert threading.active_count() == threads
    assert before == (path.read_bytes() if path.is_file() else None)
    with pytest.raises((ValueError, FileNotFoundError), match="prediction log"):
        read_log(path)


def test_a_folder_that_is_not_there_is_made(tmp_path):
    with PredictionLog(tmp_path / "a" / "b" / "predictions.db") as log:
        append(log, 1)
    assert ids_in(log.path) == ["r-1"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        PredictionLog(tmp_path / "file" / "predictions.db")


# Reading


@pytest.fixture
def mixed(path: Path) -> tuple[Path, NDArray[np.float64]]:
    """A log of single rows and batches, in no order, many at the same second; with their times."""
    random = np.random.default_rng(0)
    times = []
    with PredictionLog(path, flush_s=3600) as log:
        for number in range(200):
            rows = int(random.choice([1, 1, 1, 7, 50]))
            at = float(random.integers(0, 40))
            append(log, number, rows, at)
            times += [(at, number, row) for row in range(rows)]
    return path, np.array(sorted(times))


@pytest.mark.parametrize("rows_at_a_time", [1, 7, 64, 100_000])
@pytest.mark.parametrize(
    ("since", "until"),
    [(None, None), (10, 20), (10.5, None), (None, 0), (0, 1), (39, 40), (20, 10), (None, 39)],
)
def test_a_range_is_exact(mixed, since, until, rows_at_a_time):
    path, times = mixed
    after = times[:, 0] >= (-np.inf if since is None else since)
    expected = times[after & (times[:, 0] < (np.inf if until is None else until))]
    chunks = list(read_log(path, since, until, rows_at_a_time))
    assert [len(chunk) for chunk in chunks[:-1]] == [rows_at_a_time] * (len(chunks) - 1)
    assert all(0 < len(chunk) <= rows_at_a_time for chunk in chunks)
    found = [
        (at, int(name[2:]), row)
        for chunk in chunks
        for at, name, row in zip(chunk.received_at, chunk.request_id, chunk.row, strict=True)
    ]
    np.testing.assert_array_equal(np.array(found).reshape(-1, 3), expected)
    for chunk in chunks:
        first = np.array([int(name[2:]) for name in chunk.request_id]) + chunk.row * len(NAMES)
        np.testing.assert_array_equal(chunk.matrix, first[:, None] + np.arange(len(NAMES)))


def test_reading_needs_memory_for_one_chunk_only(path):
    with PredictionLog(path, max_pending_rows=300_000, flush_s=3600) as log:
        for number in range(20):
            append(log, number, rows=10_000)
        for number in range(20, 1_020):
            append(log, number)
    tracemalloc.start()
    try:
        rows = sum(len(chunk) for chunk in read_log(path, rows_at_a_time=1_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 201_000
    assert peak < 3_000_000  # all of it is 13 MB; one batch of 10,000 is 0.6 MB


def test_reading_follows_the_index_instead_of_sorting(path):
    PredictionLog(path).close()
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as connection:
        connection.set_trace_callback(statements.append)
        list(prediction_log._read_pieces(connection, 0, 1, 10))
        connection.set_trace_callback(None)
        (statement,) = statements
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert len(plan) == 1
    assert "USING INDEX predictions_received_at" in plan[0]


def test_a_reader_sees_one_moment_and_holds_up_nobody(path):
    with PredictionLog(path, flush_s=3600) as log:
        append(log, 1, rows=10)
    reader = read_log(path, rows_at_a_time=4)
    seen = [len(next(reader))]
    with PredictionLog(path, flush_s=3600) as log:
        append(log, 2, rows=10)
    assert log.written == 10  # while the reader is at it
    seen += [len(chunk) for chunk in reader]
    assert seen == [4, 4, 2]
    assert Counter(ids_in(path)) == {"r-1": 10, "r-2": 10}


def test_what_cannot_be_read_is_told(path):
    with pytest.raises(FileNotFoundError, match="no prediction log there"):
        read_log(path)
    with PredictionLog(path) as log:
        append(log, 1, rows=3)
    with pytest.raises(ValueError, match="rows_at_a_time: expected 1 or more, found 0"):
        read_log(path, rows_at_a_time=0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE predictions SET features = x'00'")
        connection.commit()
    message = "record 1: expected 180 bytes of features and 12 .* found 1 and 12"
    with pytest.raises(ValueError, match=message):
        list(read_log(path))


# Several processes


@pytest.mark.skipif(os.name == "nt", reason="forks, and kills as POSIX does")
def test_kill_9_loses_nothing_that_was_written_and_leaves_a_sound_file(tmp_path, run_python):
    done = run_python(str(PROCESSES), "crash", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(moment["killed"] for moment in moments) >= 50
    for moment in moments:
        found = moment["found"]
        requests = len(found) // 3
        whole = [[f"r-{number}", row] for number in range(requests) for row in range(3)]
        assert found == whole  # no holes, no half requests
        assert len(found) >= moment["told"]
        assert moment["sound"] == "ok"
    assert len({len(moment["found"]) for moment in moments}) > 10  # the moments do differ


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    source = str(Path(flight_delays.__file__).parents[1])
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROCESSES), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": source},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_kill_9_loses_only_what_came_after_the_last_flush(path, start):
    child = start("hold", str(path))
    assert child.stdout.readline() == "200 0\n"
    child.kill()
    child.wait(WAIT_S)
    assert ids_in(path) == [f"flushed-{number}" for number in range(500)]
    with PredictionLog(path) as log:  # and the next one goes on
        append(log, 1000)
    assert len(ids_in(path)) == 501


def test_several_processes_make_and_write_one_file(path, start):
    names = ("a", "b", "c")
    children = [start("write", str(path), name, "2000") for name in names]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.stdout.readline() for child in children] == ["2000 0\n"] * 3
    found = ids_in(path)
    assert len(found) == 6000
    assert set(found) == {f"{name}-{number}" for name in names for number in range(2000)}
    assert read_vocabularies(path) == {"v": {"carrier": {"AA": 0}}}
