"""Labels come late, twice, contradicting, for flights nobody asked about, and amid a kill -9."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

import flight_delays
from flight_delays.features import NAMES
from flight_delays.monitoring.labels import Counts, Label, LabelStore, read_labels
from flight_delays.prediction_log import LogChunk, PredictionLog

JULY_1, JULY_9 = datetime(2013, 7, 1, 12), datetime(2013, 7, 9, 12)
END = date(2013, 12, 31)


def chunk_of(*keys: tuple[str, int]) -> LogChunk:
    rows = len(keys)
    return LogChunk(
        matrix=np.zeros((rows, len(NAMES)), np.float32),
        probabilities=np.zeros(rows, np.float32),
        request_id=np.array([key[0] for key in keys], object),
        row=np.array([key[1] for key in keys], np.int64),
        received_at=np.zeros(rows),
        version=np.full(rows, "v", object),
    )


def joined(store: LabelStore, *keys: tuple[str, int], as_of: date = END) -> list[float | None]:
    """The labels, None for those that are not known."""
    return [
        None if np.isnan(one) else float(one) for one in store.join(chunk_of(*keys), as_of).tolist()
    ]


def test_labels_are_joined_by_request_id_and_row(store: LabelStore) -> None:
    assert joined(store, ("a", 0)) == [None]  # an empty store
    assert store.add([Label("a", 0, True, JULY_1), Label("a", 1, False, JULY_1)]) == 2
    store.add([Label("b", 0, False, JULY_1)])
    keys = [("b", 0), ("a", 1), ("a", 0), ("a", 2), ("c", 0), ("a", 0)]
    found = store.join(chunk_of(*keys), END)
    assert found.dtype == np.float32
    assert joined(store, *keys) == [0, 0, 1, None, None, 1]


def test_an_empty_chunk_has_no_labels(store: LabelStore) -> None:
    store.add([Label("a", 0, True, JULY_1)])
    assert len(store.join(chunk_of(), END)) == 0


@pytest.mark.parametrize(
    ("as_of", "known"),
    [
        (date(2013, 6, 30), None),
        (date(2013, 7, 1), 1),  # a day stands for its end
        (JULY_1 - timedelta(seconds=1), None),
        (JULY_1, 1),
        (datetime(2013, 7, 1, 13, tzinfo=timezone(timedelta(hours=1))), 1),
        (datetime(2013, 7, 1, 11, 59, 59, tzinfo=UTC), None),
    ],
)
def test_a_label_counts_from_the_moment_it_was_known(store, as_of, known) -> None:
    store.add([Label("a", 0, True, JULY_1)])
    assert joined(store, ("a", 0), as_of=as_of) == [known]


def test_a_moment_with_a_time_zone_is_kept_as_utc(store) -> None:
    zone = timezone(timedelta(hours=-4))
    store.add([Label("a", 0, True, datetime(2013, 6, 30, 22, tzinfo=zone))])
    assert joined(store, ("a", 0), as_of=datetime(2013, 7, 1, 1, 59, 59)) == [None]
    assert joined(store, ("a", 0), as_of=datetime(2013, 7, 1, 2)) == [1]


def test_the_newest_of_two_contradicting_labels_holds_whatever_came_first(tmp_path) -> None:
    labels = [
        Label("a", 0, True, JULY_1),
        Label("a", 0, False, JULY_9),
        Label("a", 0, False, JULY_1 - timedelta(days=1)),
    ]
    for number, order in enumerate(itertools.permutations(labels)):
        with LabelStore(tmp_path / f"{number}.sqlite") as store:
            for label in order:
                store.add([label])
            assert joined(store, ("a", 0), as_of=date(2013, 6, 30)) == [0]
            assert joined(store, ("a", 0), as_of=date(2013, 7, 8)) == [1]  # known then
            assert joined(store, ("a", 0)) == [0]
            assert store.counts() == Counts(received=3, flights=1, doubled=1, contradicted=1)


def test_of_two_answers_of_one_second_late_holds_in_either_order(tmp_path) -> None:
    pair = [Label("a", 0, True, JULY_1), Label("a", 0, False, JULY_1)]
    for number, order in enumerate((pair, pair[::-1])):
        with LabelStore(tmp_path / f"{number}.sqlite") as store:
            store.add(order)
            assert joined(store, ("a", 0)) == [1]
            assert store.counts().contradicted == 1


def test_to_add_the_same_labels_again_changes_no_answer(store: LabelStore) -> None:
    labels = [Label("a", row, row % 2 == 0, JULY_1) for row in range(4)]
    keys = [("a", row) for row in range(4)]
    store.add(labels)
    before = joined(store, *keys)
    store.add(labels)
    assert joined(store, *keys) == before == [1, 0, 1, 0]
    assert store.counts() == Counts(received=8, flights=4, doubled=4, contradicted=0)


def test_one_wrong_label_keeps_all_of_its_batch_out(store: LabelStore) -> None:
    good = Label("a", 0, True, JULY_1)
    for wrong in (
        Label("", 0, True, JULY_1),
        Label("a", -1, True, JULY_1),
        Label("a", 0, None, JULY_1),
        Label("a", 0, float("nan"), JULY_1),
        Label("a", 0, "late", JULY_1),
    ):
        with pytest.raises(ValueError, match="label"):
            store.add([good, wrong])
    assert store.counts() == Counts(0, 0, 0, 0)
    assert store.add([good]) == 1  # it still works


def test_labels_that_came_before_their_request_wait_and_are_joined(tmp_path, store) -> None:
    matrix = np.zeros((2, len(NAMES)), np.float32)
    log = tmp_path / "predictions.sqlite"
    store.add([Label("a", row, True, JULY_1) for row in range(3)] + [Label("b", 0, True, JULY_1)])
    with PredictionLog(log) as writer:
        writer.append("a", 0.0, "v", matrix, matrix[:, 0], None)
    assert store.waiting(log) == 2  # row 2 of a, which asked for two flights, and b
    with PredictionLog(log) as writer:
        writer.append("b", 1.0, "v", matrix[:1], matrix[:1, 0], None)
    assert store.waiting(log) == 1
    assert joined(store, ("b", 0)) == [1]
    with pytest.raises(FileNotFoundError, match="no prediction log"):
        store.waiting(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_many_labels_are_joined_at_once(store: LabelStore) -> None:
    size = 50_000
    rng = np.random.default_rng(0)
    late = rng.random(size) < 0.3
    store.add(Label(f"r{n}", 0, bool(late[n]), JULY_1) for n in range(size))
    order = rng.permutation(size)
    found = store.join(chunk_of(*[(f"r{n}", 0) for n in order]), END)
    assert np.array_equal(found == 1, late[order]) and not np.isnan(found).any()


def test_what_add_took_is_there_after_kill_9(tmp_path: Path) -> None:
    path, batch = tmp_path / "labels.sqlite", 50
    script = Path(__file__).with_name("label_processes.py")
    source = str(Path(flight_delays.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(script), str(path), str(batch)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
    )
    try:
        for line in process.stdout:
            if int(line) == 20:
                break
    finally:
        process.kill()
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
    told = max([20, *map(int, rest)])
    with LabelStore(path) as store:
        flights = store.counts().flights
    assert flights in ((told + 1) * batch, (told + 2) * batch)  # each batch whole or not at all


def test_two_stores_may_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    with LabelStore(path) as one, LabelStore(path) as other:
        one.add([Label("a", 0, True, JULY_1)])
        other.add([Label("b", 0, False, JULY_1)])
        assert joined(one, ("a", 0), ("b", 0)) == joined(other, ("a", 0), ("b", 0)) == [1, 0]


def test_another_database_is_refused(tmp_path: Path) -> None:
    with PredictionLog(tmp_path / "log"):
        pass
    with pytest.raises(ValueError, match="not a store of labels"):
        LabelStore(tmp_path / "log")
    (tmp_path / "text").write_text("no database, but longer than the sixteen bytes of a header")
    with pytest.raises(OSError, match="cannot be opened as a store of labels"):
        LabelStore(tmp_path / "text")


def test_the_store_keeps_a_record_of_every_distinct_label(store: LabelStore) -> None:
    store.add([Label("a", 0, True, JULY_1), Label("a", 0, True, JULY_9)])
    rows = sqlite3.connect(store.path)
    try:
        assert rows.execute("SELECT count(*) FROM labels").fetchone() == (2,)
    finally:
        rows.close()


def test_labels_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "known_at,request_id,row,late\n2013-07-01T12:00:00,a,0,1\n2013-07-09 12:00:00,b,3,0\n"
    )
    assert list(read_labels(path)) == [Label("a", 0, True, JULY_1), Label("b", 3, False, JULY_9)]
    path.write_text("request_id,row,late,known_at\na,0,1,2013-07-01\na,0,maybe,2013-07-01\n")
    with pytest.raises(ValueError, match=r"labels\.csv: line 3: no label"):
        list(read_labels(path))
    path.write_text("request_id,row\n")
    with pytest.raises(ValueError, match="column known_at is missing"):
        list(read_labels(path))
