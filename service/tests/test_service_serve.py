"""The service as a process: it starts or says why not, and loses nothing when it is stopped."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flight_delays.bundle import load_bundle
from flight_delays.metadata import MODEL_FILE
from flight_delays.prediction_log import read_log
from flight_delays.schemas import EXAMPLE_FLIGHT
from flight_delays.store import ModelStore

KEY = "a-key-for-tests-only"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
FLIGHTS = [EXAMPLE_FLIGHT | {"departure_minute": minute} for minute in (360, 720, 1080)]
PATIENCE_S = 120  # for what has no event to wait for; a test that needs all of it fails

posix_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no SIGTERM to send to another process"
)


def until(holds) -> None:
    """Wait until something outside this process holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


def logged_ids(state: Path) -> set[str]:
    return {one for chunk in read_log(state / "predictions.sqlite") for one in chunk.request_id}


class Load(threading.Thread):
    """One client that asks for one flight after the other until told to stop, or cut off."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.answers: list[tuple[int, dict, httpx.Response]] = []
        self.times: list[float] = []
        self.cut_off = False
        self.first = threading.Event()
        self._url = url
        self._told = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=PATIENCE_S, verify=False) as client:
            number = 0
            while not self._told.is_set():
                number += 1
                flight = number % len(FLIGHTS)
                try:
                    answer = client.post("/v1/predictions", json={"flight": FLIGHTS[flight]})
                except httpx.TransportError:
                    self.cut_off = True
                    return
                self.times.append(time.monotonic())
                self.answers.append((flight, answer.json(), answer))
                self.first.set()

    def stop(self) -> None:
        self._told.set()
        self.join(PATIENCE_S)


@contextmanager
def under_load(url: str, clients: int) -> Iterator[list[Load]]:
    loads = [Load(url) for _ in range(clients)]
    for load in loads:
        load.start()
    try:
        for load in loads:
            assert load.first.wait(PATIENCE_S)
        yield loads
    finally:
        for load in loads:
            load.stop()


def zipped(folder: Path, spoil: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            if spoil and file.name == MODEL_FILE:
                content = content[:-1] + bytes([content[-1] ^ 1])
            opened.writestr(file.name, content)
    return buffer.getvalue()


@pytest.fixture
def state(tmp_path) -> Path:
    return tmp_path / "state"


# Start and stop


@posix_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_command_serves_a_bundle_until_it_is_told_to_stop(
    start_service, two_bundles, state, number, workers
):
    service = start_service(two_bundles[0], "--state", state, "--workers", workers)
    assert service.url.startswith("http://127.0.0.1:")
    assert service.http.get("/readyz").json()["version"] == two_bundles[0].name
    answer = service.http.post("/v1/predictions", json={"flight": EXAMPLE_FLIGHT})
    assert answer.status_code == 200
    assert service.stop(number) == 0
    assert service.process.stdout.read() == ""  # the one line was all
    assert logged_ids(state) == {answer.headers["X-Request-ID"]}
    assert not [line for line in service.written().splitlines() if "Traceback" in line]


def test_settings_come_from_variables(start_service, two_bundles, state):
    service = start_service(
        two_bundles[0],
        FLIGHT_DELAYS_STATE=str(state),
        FLIGHT_DELAYS_PREDICTION_LOG="no",
        FLIGHT_DELAYS_REQUEST_LOG="no",
    )
    assert service.http.get("/v1/models").status_code == 200
    assert not list(state.glob("predictions*"))
    service.process.kill()
    service.process.wait()
    assert '"path"' not in service.written()


def test_a_champion_that_is_there_stays(start_service, two_bundles, state):
    store = ModelStore(state)
    store.add_folder(two_bundles[1])
    store.set_champion(two_bundles[1].name, if_match=None)
    service = start_service(two_bundles[0], "--state", state)
    assert service.http.get("/v1/champion").json()["version"] == two_bundles[1].name
    assert len(service.http.get("/v1/models").json()["models"]) == 2
    assert f"note: the champion is {two_bundles[1].name}" in service.written()


def test_it_starts_without_a_bundle_and_is_not_ready(start_service, two_bundles, state):
    service = start_service("--state", state, FLIGHT_DELAYS_KEY=KEY)
    with httpx.Client(base_url=service.url, headers=AUTHORIZED, verify=False) as client:
        assert client.get("/readyz").status_code == 503
        name = two_bundles[0].name
        headers = {"Content-Type": "application/zip"}
        put = client.put(f"/v1/models/{name}", content=zipped(two_bundles[0]), headers=headers)
        assert put.status_code == 201
        first = client.put("/v1/champion", json={"version": name}, headers={"If-None-Match": "*"})
        assert first.status_code == 200
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "kind", ["broken bundle", "no bundle", "port in use", "state is a file", "log is no database"]
)
def test_what_keeps_it_from_starting_is_one_line(run_python, two_bundles, tmp_path, state, kind):
    bundle, port = two_bundles[0], "0"
    with socket.socket() as taken:
        if kind == "broken bundle":
            bundle = Path(shutil.copytree(bundle, tmp_path / bundle.name))
            (bundle / MODEL_FILE).write_bytes(b"x")
            expected = "error: model.onnx: size in bytes: expected"
        elif kind == "no bundle":
            bundle = tmp_path / "nowhere"
            expected = "error: bundle.json: expected a file in"
        elif kind == "port in use":
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            expected = f"error: 127.0.0.1:{port}: "
        elif kind == "log is no database":
            state.mkdir()
            (state / "predictions.sqlite").write_text("not a database, whatever its name says")
            expected = f"error: {state / 'predictions.sqlite'}: "
        else:
            state.write_text("")
            expected = "error: "
        command = ["serve", str(bundle), "--state", str(state), "--port", port, "--workers", "2"]
        done = run_python("-m", "flight_delays", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_wrong_settings_are_told_all_at_once(run_python, monkeypatch, tmp_path, capsys):
    from flight_delays.cli import main

    monkeypatch.setenv("FLIGHT_DELAYS_PORT", "http")
    monkeypatch.setenv("FLIGHT_DELAYS_KEY", "short")
    assert main(["serve", "--state", str(tmp_path), "--workers", "0"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("error: ")
    text = "\n".join(lines)
    for name in ("FLIGHT_DELAYS_PORT: ", "FLIGHT_DELAYS_KEY: ", "--workers: "):
        assert name in text


# Nothing is lost


@posix_signals
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_answered_is_in_the_log_after_sigterm_under_load(
    start_service, two_bundles, state, workers
):
    service = start_service(two_bundles[0], "--state", state, "--workers", workers)
    with under_load(service.url, 4) as loads:
        until(lambda: all(len(load.answers) > 50 for load in loads))
        assert service.stop() == 0
        for load in loads:
            load.join(PATIENCE_S)
    answers = [answer for load in loads for _, _, answer in load.answers]
    assert all(load.cut_off for load in loads)  # they were asking when it stopped
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Request-ID"] for answer in answers} <= logged_ids(state)


def test_kill_9_loses_at_most_the_last_second(start_service, two_bundles, state):
    service = start_service(two_bundles[0], "--state", state)
    with under_load(service.url, 1) as (load,):
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 1.5)
        killed = time.monotonic()
        service.process.kill()
        service.process.wait()
        load.join(PATIENCE_S)
    there = logged_ids(state)
    missing = [
        killed - at
        for at, (_, _, answer) in zip(load.times, load.answers, strict=True)
        if answer.headers["X-Request-ID"] not in there
    ]
    assert there and len(missing) < len(load.answers)
    assert max(missing, default=0) < 1
    again = start_service("--state", state)  # and it starts again with the same champion
    assert again.http.get("/readyz").json()["version"] == two_bundles[0].name


# Switching under load


def test_no_request_fails_while_the_champion_is_switched_and_bundles_are_refused(
    start_service, two_bundles, state
):
    expected = {
        folder.name: [
            float(load_bundle(folder).predict({k: [v] for k, v in flight.items()})[0])
            for flight in FLIGHTS
        ]
        for folder in two_bundles
    }
    first, second = expected
    assert all(a != b for a, b in zip(expected[first], expected[second], strict=True))
    service = start_service(
        two_bundles[0], "--state", state, "--workers", "2", FLIGHT_DELAYS_KEY=KEY
    )
    refused = zipped(two_bundles[1], spoil=True)
    zip_type = {"Content-Type": "application/zip"}
    with (
        under_load(service.url, 3) as loads,
        httpx.Client(
            base_url=service.url, headers=AUTHORIZED, timeout=PATIENCE_S, verify=False
        ) as client,
    ):
        path = f"/v1/models/{second}"
        put = client.put(path, content=zipped(two_bundles[1]), headers=zip_type)
        assert put.status_code == 201
        for turn in range(8):
            tag = client.get("/v1/champion").headers["ETag"]
            wanted = {"version": (second, first)[turn % 2]}
            done = client.put("/v1/champion", json=wanted, headers={"If-Match": tag})
            assert done.status_code == 200
            assert client.put(path, content=refused, headers=zip_type).status_code == 422
            before = [len(load.answers) for load in loads]
            until(
                lambda: all(
                    len(load.answers) > count + 5
                    for load, count in zip(loads, before, strict=True)  # noqa: B023
                )
            )
    answers = [answer for load in loads for answer in load.answers]
    assert not any(load.cut_off for load in loads)
    assert {response.status_code for _, _, response in answers} == {200}
    assert {body["version"] for _, body, _ in answers} == {first, second}
    for flight, body, _ in answers:
        assert body["probability"] == expected[body["version"]][flight]


def test_of_two_writers_with_one_etag_one_wins(start_service, four_bundles, state):
    three_bundles = four_bundles[:3]
    store = ModelStore(state)
    for folder in three_bundles:
        store.add_folder(folder)
    store.set_champion(three_bundles[0].name, if_match=None)
    service = start_service("--state", state, "--workers", "2", FLIGHT_DELAYS_KEY=KEY)
    names = {folder.name for folder in three_bundles}
    for _ in range(6):
        now = service.http.get("/v1/champion")
        barrier = threading.Barrier(2)
        statuses: dict[str, int] = {}

        def write(version: str, tag: str, barrier=barrier, statuses=statuses) -> None:
            with httpx.Client(base_url=service.url, headers=AUTHORIZED, verify=False) as client:
                client.get("/livez")  # connected before the race
                barrier.wait(PATIENCE_S)
                answer = client.put(
                    "/v1/champion", json={"version": version}, headers={"If-Match": tag}
                )
                statuses[version] = answer.status_code

        others = sorted(names - {now.json()["version"]})
        writers = [threading.Thread(target=write, args=(v, now.headers["ETag"])) for v in others]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(PATIENCE_S)
        assert sorted(statuses.values()) == [200, 412]
        winner = min(statuses, key=statuses.get)
        assert service.http.get("/v1/champion").json()["version"] == winner


# Several workers


def test_all_workers_follow_the_champion_and_are_counted_together(
    start_service, two_bundles, state
):
    service = start_service(
        two_bundles[0], "--state", state, "--workers", "2", FLIGHT_DELAYS_KEY=KEY
    )
    store = ModelStore(state)
    store.add_folder(two_bundles[1])
    store.set_champion(two_bundles[1].name, if_match=1)  # by a process that is no worker
    body = {"flight": EXAMPLE_FLIGHT}
    in_service = f'flight_delays_champion{{version="{two_bundles[1].name}"}} 2.0'
    until(lambda: in_service in service.http.get("/metrics").text)
    alone = {"Connection": "close"}  # each on a connection of its own, so that both are asked
    answers = [service.http.post("/v1/predictions", json=body, headers=alone) for _ in range(20)]
    assert {answer.json()["version"] for answer in answers} == {two_bundles[1].name}
    counted = f'flight_delays_predictions_total{{version="{two_bundles[1].name}"}} 20.0'
    until(lambda: counted in service.http.get("/metrics").text)


def children_of(pid: int) -> list[int]:
    """The processes that answer: children of the parent that are no helpers of multiprocessing."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid and b"spawn_main" in command:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find workers")
def test_a_worker_that_dies_is_replaced_and_none_outlives_the_parent(
    start_service, two_bundles, state
):
    service = start_service(two_bundles[0], "--state", state, "--workers", "2")
    workers = children_of(service.process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(set(children_of(service.process.pid)) - {workers[0]}) == 2)
    in_service = f'flight_delays_champion{{version="{two_bundles[0].name}"}} 2.0'
    until(lambda: in_service in service.http.get("/metrics").text)

    orphans = children_of(service.process.pid)
    service.process.kill()
    service.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in orphans))


def test_lines_of_the_log_are_json(start_service, two_bundles, state):
    service = start_service(two_bundles[0], "--state", state)
    answer = service.http.get("/livez")
    until(lambda: answer.headers["X-Request-ID"] in service.written())
    lines = [json.loads(line) for line in service.written().splitlines()]
    assert {line["level"] for line in lines} == {"info"}
