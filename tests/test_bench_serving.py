"""What bench/serving.py makes of its measurements; the servers themselves run in the bench."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from bench import serving
from bench.servers.contenders import Contender, Wrong, contenders
from bench.servers.measure import Bodies, Measured, check, family
from bench.servers.model import Prepared, prepare
from flight_delays.flights import load_flights

QUIET = {"p99_ms": 9.0, "cpu_ms_per_request": 0.2, "rss_mb": 80.4, "told": "", "others": 0.1}


def row(key: str, rate: float, connections: int = 16, rows: int = 1) -> serving.Row:
    made = serving.Row(key, key, 1, connections, rows)
    made.fill([Measured(requests_per_s=rate, p50_ms=3.0, **QUIET)], [])
    return made


def test_a_row_holds_medians() -> None:
    made = serving.Row("a", "A", 1, 4, 1000)
    made.fill([Measured(requests_per_s=rate, p50_ms=rate / 7, **QUIET) for rate in (100.0, 300.0, 200.0)], ["said"])
    assert (made.requests_per_s, made.p50_ms, made.rss_mb) == (200, 28.57, 80)
    assert made.rows_per_s == 200_000 and made.rounds == [100, 300, 200] and made.note == "said"


def test_a_row_says_when_the_machine_was_not_quiet() -> None:
    made = serving.Row("a", "A", 1, 16, 1)
    busy = QUIET | {"others": 1.26, "told": "3 of 100 failed: {503: 3}"}
    made.fill([Measured(requests_per_s=1.0, p50_ms=1.0, **busy)] * 3, [])
    assert made.note == "3 of 100 failed: {503: 3}; other programs took 1.3 cores meanwhile"


def test_what_was_not_measured_is_none_and_says_why() -> None:
    made = serving.Row("a", "A", 1, 1, 1)
    made.fill([], ["it did not start"])
    assert made.requests_per_s is None and made.note == "it did not start"
    assert serving.table([made]).splitlines()[1].split() == ["A", "1", "1", *"------", "it", "did", "not", "start"]
    assert serving.summary([made]) == {}


def test_the_summary_says_what_the_rows_say() -> None:
    rows = [row("ceiling", 8000), row("service", 6000), row("mlflow", 100), row("service2", 9000)]
    rows += [row("service", 6000, 64), row("service2", 9600, 64)]
    rows += [row("ceiling", 200, 4, 1000), row("service", 160, 4, 1000)]
    assert serving.summary(rows) == {
        "share of the ceiling at 16 connections": 0.75,
        "share of the ceiling in batches": 0.8,
        "times MLflow at 16 connections": 60,
        "two workers over one at 16 connections": 1.5,
        "two workers over one at 64 connections": 1.6,
        "share of the ceiling at 16 connections, by CPU time": 1,
        "p99 over p50 at 64 connections, service": 3,
    }


def test_a_trial_names_servers_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serving.main(["--only", "ceiling,nginx"])
    assert "there is no nginx; there are ceiling, service" in capsys.readouterr().err


def test_the_stored_figures_fit_the_bench() -> None:
    path = Path(serving.__file__).with_suffix(".json")
    assert path.exists(), "the figures are missing: make bench-serving"
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows = [serving.Row(**row) for row in stored["rows"]]
    assert stored["summary"] == serving.summary(rows)
    assert {(row.key, row.rows_a_request, row.connections) for row in rows} == {
        (one.key, *cell) for one in contenders() for cell in serving.CELLS
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("serving"), load_flights().iloc[::10])


def contender(key: str) -> Contender:
    return next(one for one in contenders() if one.key == key)


def test_the_ceiling_answers_with_the_models_probabilities_and_checks_its_input(prepared: Prepared) -> None:
    one = contender("ceiling")
    with one.running(prepared) as server:
        check(server, Bodies(one.protocol, prepared))
        flight = prepared.singles()[0]
        for wrong in ({"distance": -1}, {"distance": "far"}, {"distance": True}, {"distance": None}, {"speed": 1}):
            answer = httpx.post(f"{server.url}/v1/predictions", json={"flight": flight | wrong}, trust_env=False)
            assert answer.status_code == 422, wrong


@pytest.mark.parametrize("key", ["service", "service2"])
def test_the_service_runs_in_the_bench_and_leaves_nothing_behind(prepared: Prepared, key: str) -> None:
    one = contender(key)
    with one.running(prepared) as server:
        check(server, Bodies(one.protocol, prepared))
        processes = family(server.pid)
        assert len(processes) >= one.workers
    assert not psutil.wait_procs(processes, timeout=20)[1]
    assert not server.log.exists()


def test_a_server_that_answers_otherwise_or_not_at_all_is_found_out(prepared: Prepared) -> None:
    one = contender("ceiling")
    other = replace(one.protocol, read_one=lambda body: [body["probability"] + 0.001])
    refused = replace(one.protocol, body_many=lambda columns: {"columns": columns})
    with one.running(prepared) as server:
        for protocol, why in ((other, "not those of the model"), (refused, "answered 422")):
            with pytest.raises(Wrong, match=why):
                check(server, Bodies(protocol, prepared))
