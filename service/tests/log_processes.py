"""Run by test_service_prediction_log.py in processes of their own.

log_processes.py crash WORK         kill a writer at many moments of its transactions
log_processes.py hold FILE          close a log of 500 rows, then wait with 200 that are pending
log_processes.py write FILE NAME N  write N requests named NAME-0, NAME-1, ... after one line
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

from flight_delays import prediction_log
from flight_delays.features import NAMES
from flight_delays.prediction_log import PredictionLog, read_log

REQUESTS, ROWS = 200, 3
BOUND = 64 * ROWS  # of what is pending; the thread is woken from a quarter of it on
STEPS = 25  # of SQLite's virtual machine between two looks at the counter
MOMENTS = 60


def append(log: PredictionLog, name: str, number: int, rows: int = 1) -> None:
    matrix = np.full((rows, len(NAMES)), number, np.float32)
    log.append(f"{name}-{number}", float(number), "v", matrix, matrix[:, 0], None)


def write(path: Path, tell: int, at: int | None) -> int:
    """Write the requests, telling the pipe how many are in the file; die by SIGKILL at a moment.

    The moment is counted in steps of SQLite's virtual machine, so it lies within a statement.
    """
    looks = 0
    opened = prediction_log._open

    def look() -> int:
        nonlocal looks
        looks += 1
        if looks == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def open_watched(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        connection.set_progress_handler(look, STEPS)
        return connection

    prediction_log._open = open_watched
    with PredictionLog(path, max_pending_rows=BOUND, flush_s=3600) as log:
        for number in range(REQUESTS):
            while log.pending == BOUND:
                os.sched_yield()  # the writer thread has the turn
            append(log, "r", number, ROWS)
            os.write(tell, f"{log.written}\n".encode())
    return looks


def in_a_fork(path: Path, at: int | None) -> tuple[int, list[int]]:
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        looks = write(path, tell, at)
        os.write(tell, f"{looks}\n".encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(hear, "rb") as pipe:
        told = [int(line) for line in pipe]
    return os.waitpid(child, 0)[1], told


def crash(work: Path) -> None:
    status, told = in_a_fork(work / "whole.db", None)
    assert status == 0, status
    looks = told[-1]
    for moment in range(MOMENTS):
        path = work / f"{moment}.db"
        # The last tenth is left out, since how requests fall into transactions is never the same.
        status, told = in_a_fork(path, 1 + moment * looks * 9 // 10 // MOMENTS)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        found = [
            (name, int(row))
            for chunk in read_log(path)
            for name, row in zip(chunk.request_id, chunk.row, strict=True)
        ]
        connection = sqlite3.connect(path)
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
        told_last = told[-1] if told else 0
        print(json.dumps({"killed": killed, "found": found, "told": told_last, "sound": sound}))


def hold(path: Path) -> None:
    with PredictionLog(path) as log:
        for number in range(500):
            append(log, "flushed", number)
    log = PredictionLog(path, flush_s=3600)
    for number in range(200):
        append(log, "pending", number)
    print(log.pending, log.written, flush=True)
    sys.stdin.read()


def write_many(path: Path, name: str, count: int) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    with PredictionLog(path, flush_s=0.001) as log:
        log.know("v", {"carrier": {"AA": 0}})
        for number in range(count):
            append(log, name, number)
    print(log.written, log.dropped, flush=True)


def main() -> NoReturn:
    match sys.argv[1:]:
        case ["crash", work]:
            crash(Path(work))
        case ["hold", path]:
            hold(Path(path))
        case ["write", path, name, count]:
            write_many(Path(path), name, int(count))
    sys.exit()


if __name__ == "__main__":
    main()
