"""The watch: what it sees of a log that grows, what it says of it, what it takes in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

import flight_delays
from flight_delays.bundle import Bundle
from flight_delays.features import NAMES
from flight_delays.monitoring.bins import CHECKED
from flight_delays.monitoring.clock import by_clock, by_request_id
from flight_delays.monitoring.drift import drift
from flight_delays.monitoring.inbox import Inbox
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.signals import LENGTHS
from flight_delays.monitoring.summary import summarise
from flight_delays.monitoring.watch import Watch, watching
from flight_delays.monitoring.watch_app import make_watch_app, running
from flight_delays.pipeline.findings import Findings

SERVICE = Path(__file__).parents[2]
Log = Callable[..., Any]


def at(day: date) -> Callable[[], float]:
    """A clock that stands at noon of a day."""
    return lambda: datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def reference_file(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference.write(tmp_path_factory.mktemp("reference") / "reference.json")


@pytest.fixture
def july(
    tmp_path: Path, bundle: Bundle, later: pd.DataFrame, make_log: Log, days_between: Log
) -> Any:
    """A log and labels of July, which a test may change."""
    folder = tmp_path / "july"
    folder.mkdir()
    return make_log(folder, bundle, days_between(later, date(2013, 7, 1), date(2013, 7, 31)))


def add(logged: Any, bundle: Bundle, flights: pd.DataFrame, make_log: Log) -> None:
    """Log more flights, and store their labels, in the same files."""
    make_log(logged.log.parent, bundle, flights)


def test_it_sees_whole_days_of_a_window(
    reference: Reference, reference_file: Path, july: Any
) -> None:
    watch = Watch(july.log, reference_file, july.labels, time_of=by_request_id)
    assert watch.look(), watch.failures
    seen = watch.snapshot
    # The newest day in the log may not be over.
    assert (seen.first, seen.last) == (date(2013, 7, 3), date(2013, 7, 30))
    expected = summarise(july.log, reference.bins, seen.first, seen.last, by_request_id)
    assert seen.figures["window_rows"] == expected.rows.sum()
    # A day, a week: each length has limits of its own.
    parts = [expected.between(date(2013, 7, 31 - length), None) for length in LENGTHS]
    assert seen.drift == sum((drift(reference, part) for part in parts), Findings())
    assert seen.figures["drift_faults"] == len(seen.drift.failed)
    assert watch.rows_read == len(july.flights)


def test_the_limit_in_the_metrics_is_the_one_that_was_judged(
    reference_file: Path, july: Any
) -> None:
    watch = Watch(july.log, reference_file, time_of=by_request_id)
    watch.look()
    psi, limit = (watch.snapshot.distances[name] for name in ("drift_psi", "drift_limit"))
    assert set(psi) == set(limit) == {(name, days) for name in CHECKED for days in LENGTHS}
    # What Prometheus' rule finds is what the findings say.
    beyond = {key for key in psi if psi[key] > limit[key]}
    assert {name for name, _ in beyond} == {f.check for f in watch.snapshot.drift.failed}
    assert len(beyond) == len(watch.snapshot.drift.failed)


def test_performance_is_that_of_the_labels_that_came(
    reference_file: Path, july: Any, later: pd.DataFrame
) -> None:
    watch = Watch(july.log, reference_file, july.labels, time_of=by_request_id)
    watch.look()
    figures = watch.snapshot.figures
    assert 0.7 < figures["labelled_share"] < 0.97  # the newest labels have not come
    flights = july.flights
    day = flights["departure"].to_numpy().astype("datetime64[D]")
    early = (day >= np.datetime64("2013-07-03")) & (day <= np.datetime64("2013-07-23"))
    assert figures["late_share"] == pytest.approx(flights["late"][early].mean(), abs=0.04)
    assert 0.6 < figures["roc_auc"] < 0.8
    assert 0.4 < figures["log_loss"] < 0.8
    assert watch.snapshot.decay is not None


def test_without_labels_there_are_no_figures_of_performance(
    reference_file: Path, july: Any, tmp_path: Path
) -> None:
    for labels in (None, tmp_path / "none-yet.sqlite"):
        watch = Watch(july.log, reference_file, labels, time_of=by_request_id)
        assert watch.look()
        assert not {"roc_auc", "log_loss", "decay_faults"} & set(watch.snapshot.figures)
    assert not labels.exists()  # a watch makes no store


def test_a_second_look_costs_only_what_is_new(
    reference_file: Path, july: Any, bundle: Bundle, later: pd.DataFrame, make_log: Log,
    days_between: Log,
) -> None:  # fmt: skip
    watch = Watch(july.log, reference_file, july.labels, time_of=by_request_id)
    watch.look()
    first, read = watch.snapshot, watch.rows_read
    watch.look()
    assert watch.rows_read == read
    assert replace(watch.snapshot, at=first.at) == first
    august = days_between(later, date(2013, 8, 1), date(2013, 8, 2))
    add(july, bundle, august, make_log)
    watch.look()
    assert watch.rows_read == read + len(august)
    fresh = Watch(july.log, reference_file, july.labels, time_of=by_request_id)
    fresh.look()
    assert replace(fresh.snapshot, at=0) == replace(watch.snapshot, at=0)
    assert watch.snapshot.last == date(2013, 8, 1)


def test_labels_alone_are_news(reference_file: Path, july: Any, tmp_path: Path) -> None:
    held_back = tmp_path / "labels.sqlite"
    watch = Watch(july.log, reference_file, held_back, time_of=by_request_id)
    watch.look()
    assert "labelled_share" not in watch.snapshot.figures
    with LabelStore(july.labels) as store, LabelStore(held_back) as target:
        rows = store._connection.execute("SELECT request_id, row, late, known_at FROM labels")
        target.add(
            (name, row, bool(late), datetime.fromtimestamp(known, UTC).replace(tzinfo=None))
            for name, row, late, known in rows
        )
        watch.look()
    assert watch.snapshot.figures["labelled_share"] > 0.7


def test_another_reference_is_followed(reference: Reference, july: Any, tmp_path: Path) -> None:
    file = reference.write(tmp_path / "reference.json")
    watch = Watch(july.log, file, time_of=by_request_id)
    watch.look()
    before = watch.snapshot.distances["drift_limit"]["carrier", max(LENGTHS)]
    wider = replace(reference.thresholds, score=reference.thresholds.score + 1)
    replace(reference, thresholds=wider).write(file)
    assert watch.look()
    assert watch.snapshot.distances["drift_limit"]["carrier", max(LENGTHS)] > before


def test_it_waits_for_a_reference_and_for_a_log(
    reference: Reference, july: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "reference.json"
    watch = Watch(july.log, file, time_of=by_request_id)
    assert not watch.look()
    assert not watch.look()
    assert (watch.snapshot, watch.failures) == (None, 2)
    told = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1 and "no reference there" in told[0]  # once, not at each look
    reference.write(file)
    assert watch.look()
    moved = july.log.rename(tmp_path / "elsewhere.sqlite")
    assert not watch.look()
    assert watch.snapshot is not None  # old, and its age is a metric
    moved.rename(july.log)
    assert watch.look()


def test_by_the_clock_it_reads_no_more_than_it_judges(reference_file: Path, logged: Any) -> None:
    watch = Watch(
        logged.log, reference_file, logged.labels, time_of=by_clock, now=at(date(2013, 9, 15))
    )
    assert watch.look()
    assert (watch.snapshot.first, watch.snapshot.last) == (date(2013, 8, 18), date(2013, 9, 14))
    assert watch.rows_read < len(logged.flights) / 1.5


def test_days_on_which_nobody_asked_are_counted(reference_file: Path, logged: Any) -> None:
    last = date(2013, 9, 30)
    for now, silent in ((date(2013, 10, 1), 0), (date(2013, 10, 4), 3)):
        watch = Watch(logged.log, reference_file, time_of=by_clock, now=at(now))
        assert watch.look()
        assert (watch.snapshot.last, watch.snapshot.figures["silent_days"]) == (last, silent)


def test_a_log_without_a_whole_day_is_no_fault(reference_file: Path, logged: Any) -> None:
    watch = Watch(logged.log, reference_file, time_of=by_clock, now=at(date(2015, 1, 1)))
    assert watch.look()
    assert watch.snapshot.first is None
    assert watch.snapshot.figures == {"window_rows": 0.0}


def test_a_planted_fault_is_seen_and_named(
    reference_file: Path, bundle: Bundle, july: Any, later: pd.DataFrame, make_log: Log,
    days_between: Log,
) -> None:  # fmt: skip
    watch = Watch(july.log, reference_file, time_of=by_request_id)
    watch.look()
    assert watch.snapshot.figures["quality_faults"] == 0, watch.snapshot.quality.reasons
    august = days_between(later, date(2013, 8, 1), date(2013, 8, 3)).copy()
    august["temperature"] = (august["temperature"] - 32) / 1.8  # somebody sends degrees Celsius
    add(july, bundle, august, make_log)
    watch.look()
    assert watch.snapshot.figures["quality_faults"] > 0
    assert any("temperature" in reason for reason in watch.snapshot.quality.reasons)


def test_it_looks_until_it_is_told_to_stop() -> None:
    class Counting:
        looks = 0
        enough = Event()

        def look(self) -> None:
            self.looks += 1
            if self.looks == 3:
                self.enough.set()

    watch = Counting()
    with watching(watch, every=0.01):
        assert watch.enough.wait(20)
    after = watch.looks
    assert not watch.enough.wait(0) or watch.looks == after


def test_over_http_it_shows_what_it_saw_and_takes_alerts_in_once(
    reference_file: Path, july: Any, tmp_path: Path
) -> None:
    watch = Watch(july.log, reference_file, july.labels, time_of=by_request_id)
    inbox = Inbox(tmp_path / "inbox")
    with (
        running(make_watch_app(watch, inbox)) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        assert client.get("/livez").status_code == 200
        assert client.get("/findings").status_code == 503
        assert "watch_success" not in client.get("/metrics").text
        watch.look()
        found = client.get("/findings").json()
        assert found["last"] == "2013-07-30"
        assert {one["check"] for one in found["drift"]} == set(CHECKED)
        families = {
            family.name: family
            for family in text_string_to_metric_families(client.get("/metrics").text)
        }
        psi = families["flight_delays_drift_psi"].samples
        assert {sample.labels["feature"] for sample in psi} == {*NAMES, "prediction"}
        assert families["flight_delays_log_loss"].samples[0].value == pytest.approx(
            watch.snapshot.figures["log_loss"]
        )
        body = {
            "version": "4",
            "receiver": "loop",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "Drift"},
                    "annotations": {},
                    "startsAt": "2013-09-30T12:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "fingerprint": "d34db33f",
                }
            ],
        }
        assert client.post("/alerts", json=body).json() == {"told": 1, "new": 1}
        assert client.post("/alerts", json=body).json() == {"told": 1, "new": 0}
        counted = client.get("/metrics").text
        assert "flight_delays_alert_messages_total 2.0" in counted
        assert 'flight_delays_alerts_total{status="firing"} 1.0' in counted
    assert [alert.name for alert in inbox.waiting()] == ["Drift"]


def test_what_is_no_alert_is_refused(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    watch = Watch(tmp_path / "none", tmp_path / "none")
    with (
        running(make_watch_app(watch, inbox)) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        json_type = {"Content-Type": "application/json"}
        answers = [
            client.post("/alerts", content=b"{", headers=json_type),
            client.post("/alerts", content=b"{}", headers=json_type),
            client.post("/alerts", content=b"a=1", headers={"Content-Type": "text/plain"}),
            client.post("/alerts", content=b" " * 2_000_000, headers=json_type),
            client.get("/alerts"),
        ]
        assert [answer.status_code for answer in answers] == [400, 422, 415, 413, 405]
        assert answers[1].headers["Content-Type"] == "application/problem+json"
        assert answers[1].json()["errors"][0] == {"pointer": "/version", "message": "is missing"}
        (tmp_path / "inbox" / "waiting").rmdir()
    assert inbox.folder.is_dir()


# What may be imported where only the serving half is installed.
_IMPORTS = """
import json, sys
for name in ("pandas", "sklearn", "scipy", "river", "evidently", "mlflow", "yaml", "httpx"):
    sys.modules[name] = None
sys.argv = ["flight_delays", "monitoring", "watch", "--help"]
import flight_delays.app, flight_delays.cli
try:
    flight_delays.cli.main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
import flight_delays.monitoring.watch, flight_delays.monitoring.watch_app
print(json.dumps([name for name in sys.modules if name.startswith("flight_delays.")]))
"""


def test_what_it_imports_is_what_the_image_has() -> None:
    source = Path(flight_delays.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(source)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"flight_delays.monitoring.watch", "flight_delays.pipeline.findings"} <= imported
    lines = (SERVICE / ".dockerignore").read_text().splitlines()
    not_sent = {line for line in lines if line.startswith("src/flight_delays/")}
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    for name in sorted(imported):
        file = f"src/{name.replace('.', '/')}"
        file += "/__init__.py" if (SERVICE / file).is_dir() else ".py"
        ignored = file in not_sent or f"{Path(file).parent.as_posix()}/*" in not_sent
        assert file in sent or not ignored, f"the image lacks {file}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_as_a_process_it_says_where_it_is_and_ends_with_0(
    reference_file: Path, july: Any, tmp_path: Path
) -> None:
    source = Path(flight_delays.__file__).parents[1]
    command = [
        *(sys.executable, "-m", "flight_delays", "monitoring", "watch", "--state", july.log.parent),
        *("--reference", reference_file, "--labels", july.labels, "--inbox", tmp_path / "inbox"),
        *("--port", "0", "--time", "request-id", "--every", "0.2"),
    ]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(source)},
    )
    try:
        url = process.stdout.readline().removeprefix("watching ").strip()
        first = json.loads(process.stderr.readline())  # when it has read its reference
        assert first["message"].startswith("watching with the reference of 2013-06-30-")
        assert httpx.get(f"{url}/livez", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
