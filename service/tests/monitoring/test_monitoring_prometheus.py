"""The real Prometheus and Alertmanager: an alert reaches the inbox once, every query is answered.

The programs are those that are installed, or Debian's out of monitoring/debian/fetch.py. What there
is to wait for, a scrape or a message, is an event of the watch's own address.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Condition
from typing import Any

import pandas as pd
import pytest

from flight_delays.bundle import Bundle
from flight_delays.features import NAMES
from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.exporter import Snapshot
from flight_delays.monitoring.inbox import Inbox
from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.scenario import apply, read_scenario
from flight_delays.monitoring.signals import LENGTHS
from flight_delays.monitoring.watch import Watch
from flight_delays.monitoring.watch_app import make_watch_app, running
from flight_delays.schemas import EXAMPLE_FLIGHT

pytest.importorskip("yaml", reason="Prometheus: PyYAML is not installed, to read its settings")
from flight_delays.monitoring.trial import (
    Programs,
    ProgramsMissing,
    Watchers,
    find_programs,
    run_watchers,
)

MONITORING = Path(__file__).parents[2] / "monitoring"
SCENARIOS = MONITORING.parent / "scenarios"
DASHBOARDS = sorted((MONITORING / "grafana/dashboards").glob("*.json"))
EVERY = "300ms"
PATIENCE_S = 60  # for what must come; a test that needs all of it fails


@pytest.fixture(scope="session")
def programs() -> Programs:
    fetch = [sys.executable, str(MONITORING / "debian/fetch.py")]
    try:
        try:
            return find_programs(MONITORING / "debian/unpacked")
        except ProgramsMissing:
            fetched = subprocess.run(fetch, capture_output=True, text=True, check=False)
            if fetched.returncode:
                raise ProgramsMissing(fetched.stderr.strip()) from None
            return find_programs(MONITORING / "debian/unpacked")
    except ProgramsMissing as missing:
        pytest.skip(f"Prometheus: {missing}")


def test_rules_fire_when_they_must_and_only_then(programs: Programs) -> None:
    # Prometheus' own tool, of the version that runs below.
    for command, folder in (("check", "rules"), ("test", "tests")):
        files = [str(file) for file in sorted((MONITORING / folder).glob("*.yml"))]
        words = [str(programs.promtool), command, "rules", *files]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("SUCCESS") == len(files) > 1


class Listening:
    """An ASGI app that counts the requests to another one, by path, and can wait for them."""

    def __init__(self, app: Any) -> None:
        self.seen: Counter[str] = Counter()
        self._app = app
        self._changed = Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        with self._changed:
            self.seen[scope["path"]] += 1
            self._changed.notify_all()

    def wait(self, path: str, count: int) -> None:
        """Wait until so many requests to a path were answered."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.seen[path] >= count, PATIENCE_S)
        assert came, f"{path}: {self.seen[path]} requests, expected {count}"

    def wait_for_more(self, path: str, count: int) -> None:
        """Wait for so many requests to a path from now on."""
        self.wait(path, self.seen[path] + count)


@dataclass
class StandIn:
    """A watch that sees what a test tells it to see; what a real one sees is tested elsewhere."""

    snapshot: Snapshot | None = None
    rows_read: int = 1_000
    failures: int = 0

    def see(self, psi: float = 0.01, **figures: float) -> None:
        """See a window with this PSI in temperature, and these figures."""
        features = [*NAMES, "prediction"]
        checks = [(name, days) for name in features for days in LENGTHS]
        hot = {("temperature", max(LENGTHS)): psi}
        distances = {
            "drift_psi": dict.fromkeys(checks, 0.01) | hot,
            "drift_limit": dict.fromkeys(checks, 0.1) | dict.fromkeys(hot, 3.0),
        }
        shares = {
            "missing_share": dict.fromkeys(features, 0.0),
            "unknown_share": dict.fromkeys(("carrier", "origin", "destination"), 0.0),
        }
        usual = {
            "window_rows": 27_000.0,
            "labelled_share": 0.75,
            "log_loss": 0.5,
            "roc_auc": 0.71,
            "late_share": 0.24,
            "mean_prediction": 0.27,
            "quality_faults": 0.0,
            "drift_faults": 0.0,
            "decay_faults": 0.0,
        }
        now = time.time()
        day = date(2013, 7, 31)
        self.snapshot = Snapshot(now, day.replace(day=4), day, shares, distances, usual | figures)


@dataclass
class Trial:
    """All that runs."""

    watch: StandIn
    inbox: Inbox
    app: Listening
    watchers: Watchers


@pytest.fixture
def start(programs: Programs, tmp_path: Path) -> Callable[..., Any]:
    """Start a stand-in's address, Prometheus and Alertmanager."""

    @contextmanager
    def run(service: str | None = None) -> Iterator[Trial]:
        watch, inbox = StandIn(), Inbox(tmp_path / "inbox")
        watch.see()
        app = Listening(make_watch_app(watch, inbox))
        with (
            running(app) as url,
            run_watchers(
                programs, MONITORING, tmp_path, watch=url, service=service, every=EVERY
            ) as watchers,
        ):
            yield Trial(watch, inbox, app, watchers)

    return run


def test_drift_is_one_alert_told_once_and_over_once(start: Callable[..., Any]) -> None:
    with start() as trial:
        trial.app.wait("/metrics", 3)
        assert trial.app.seen["/alerts"] == 0  # nothing has drifted
        trial.watch.see(psi=6.5)
        trial.app.wait("/alerts", 1)
        (alert,) = trial.inbox.waiting()
        assert (alert.name, alert.labels["about"]) == ("Drift", "model")
        assert alert.annotations["summary"].endswith("never had: temperature")
        trial.app.wait_for_more("/metrics", 5)  # it is scraped and judged again, and told no more
        assert trial.app.seen["/alerts"] == 1
        assert trial.inbox.waiting() == [alert]
        (standing,) = trial.watchers.alerts()
        assert standing["fingerprint"] == alert.fingerprint
        assert {receiver["name"] for receiver in standing["receivers"]} == {"loop", "people"}

        trial.watch.see(psi=0.9)
        trial.app.wait("/alerts", 2)
        (over,) = trial.inbox.waiting("resolved")
        assert over.identity == alert.identity
        assert trial.inbox.resolved(alert)
        trial.app.wait_for_more("/metrics", 2)
        assert trial.app.seen["/alerts"] == 2


def test_a_fault_of_the_data_is_told_and_what_follows_from_it_is_not(
    start: Callable[..., Any],
) -> None:
    with start() as trial:
        trial.watch.see(psi=6.5, quality_faults=2.0, decay_faults=1.0)
        trial.app.wait("/alerts", 1)
        trial.app.wait_for_more("/metrics", 4)
        assert [alert.name for alert in trial.inbox.waiting()] == ["DataFault"]
        standing = {a["labels"]["alertname"]: a["status"] for a in trial.watchers.alerts()}
        assert set(standing) == {"DataFault", "Drift", "Decay"}
        assert standing["Drift"]["state"] == standing["Decay"]["state"] == "suppressed"


@pytest.mark.parametrize(
    ("kind", "told", "about"),
    [("mix", "Drift", "departure_minute"), ("concept", "Decay", "worse than it was")],
)
def test_what_is_injected_into_real_flights_is_told_once(
    programs: Programs, bundle: Bundle, reference: Reference, flights: pd.DataFrame,
    make_log: Callable[..., Any], days_between: Callable[..., pd.DataFrame], tmp_path: Path,
    kind: str, told: str, about: str,
) -> None:  # fmt: skip
    changed = apply(flights, read_scenario(SCENARIOS / f"{kind}.toml"))  # from August on
    logged = make_log(tmp_path, bundle, days_between(changed, date(2013, 7, 4), date(2013, 7, 31)))
    file = reference.write(tmp_path / "reference.json")
    watch = Watch(logged.log, file, logged.labels, time_of=by_request_id)
    inbox = Inbox(tmp_path / "inbox")
    app = Listening(make_watch_app(watch, inbox))
    assert watch.look()
    with (
        running(app) as url,
        run_watchers(programs, MONITORING, tmp_path, watch=url, every=EVERY),
    ):
        app.wait("/metrics", 4)
        assert app.seen["/alerts"] == 0, watch.snapshot.to_json()
        make_log(tmp_path, bundle, days_between(changed, date(2013, 8, 1), date(2013, 8, 31)))
        assert watch.look()
        assert watch.snapshot.figures[f"{told.lower()}_faults"] > 0, watch.snapshot.to_json()
        app.wait("/alerts", 1)
        app.wait_for_more("/metrics", 10)
    assert app.seen["/alerts"] == 1
    (alert,) = inbox.waiting()
    assert alert.name == told
    assert about in alert.annotations["summary"]


def test_prometheus_answers_every_query_of_every_dashboard(
    start: Callable[..., Any],
    start_service: Callable[..., Any],
    bundle_folder: Path,
    tmp_path: Path,
) -> None:
    service = start_service(bundle_folder, "--state", tmp_path / "state")
    with start(service.url) as trial:
        trial.watch.see(psi=6.5, quality_faults=1.0)  # an alert stands, so its panels have a line
        expressions = [
            target["expr"]
            for file in DASHBOARDS
            for panel in json.loads(file.read_text())["panels"]
            for target in panel["targets"]
        ]
        assert len(expressions) > 25
        without = set(expressions)
        for _ in range(PATIENCE_S):
            body = {"flight": EXAMPLE_FLIGHT}
            assert service.http.post("/v1/predictions", json=body).status_code == 200
            trial.app.wait_for_more("/metrics", 1)
            without = {one for one in without if not trial.watchers.query(one)}
            if not without:
                break
        assert not without  # understood, and answered with a figure
