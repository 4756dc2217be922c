"""Apps handed over from a notebook, what they cost, and who waits beside a busy one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
from fastapi import FastAPI

from lessonkit import contest
from lessonkit.apps import app_server, command
from lessonkit.busy import kept_busy
from lessonkit.cost import cpu_ms
from lessonkit.load import load
from lessonkit.servers import ServerFailed


def flask_app(word: str) -> flask.Flask:
    app = flask.Flask("test")
    app.add_url_rule("/", view_func=lambda: word)
    app.add_url_rule("/predictions", "predict", lambda: {"probability": float(flask.request.json)}, methods=["POST"])
    return app


def fastapi_app(word: str) -> FastAPI:
    app, asked = FastAPI(), []

    async def alive() -> str:
        return word

    async def slow() -> int:
        asked.append(word)
        return len(asked)

    app.get("/")(alive)
    app.get("/slow")(slow)
    return app


@pytest.mark.parametrize(("make_app", "by"), [(flask_app, "flask"), (flask_app, "gunicorn"), (fastapi_app, "uvicorn")])
def test_a_function_with_its_arguments_is_served(make_app: Any, by: str) -> None:
    with app_server(make_app, "a word", by=by) as server:
        assert "a word" in httpx.get(server.url, trust_env=False).text


def test_an_app_that_cannot_be_made_tells_why() -> None:
    def broken() -> None:
        raise ValueError("no model here")

    with pytest.raises(ServerFailed, match="no model here"), app_server(broken, by="uvicorn"):
        pass


def test_an_unknown_server_is_refused() -> None:
    with pytest.raises(ValueError, match="flask, gunicorn, uvicorn, found 'apache'"):
        command("apache")


def test_the_development_server_warns_and_closes() -> None:
    with app_server(flask_app, "x", by="flask") as server:
        assert contest.connection_of(server) == "answers as Werkzeug, closes the connection"
        (warning,) = contest.warnings_of(server)
        assert warning.startswith("WARNING: This is a development server")


def test_cost_and_outcomes() -> None:
    with app_server(flask_app, "x", by="flask") as server:
        assert 0 < cpu_ms(server, requests=100) < 1000
        with pytest.raises(RuntimeError, match=r"/absent: .* failed: \{404"):
            cpu_ms(server, "/absent", requests=100)
        answers = contest.outcomes(server, {"good": 0.25, "text": "much", "NaN": float("nan")})
    assert [one.status_code for one in answers.values()] == [200, 500, 200]
    lines = contest.table({"Flask": {name: answers[name] for name in ("good", "text")}}).splitlines()
    assert [line.split() for line in lines] == [["Flask"], ["good", "200,", "0.250"], ["text", "500"]]


def test_costs_have_a_row_a_question_and_a_column_a_case() -> None:
    cases = {"Flask": (flask_app, "x", "flask"), "FastAPI": (fastapi_app, "x", "uvicorn")}
    found = contest.costs(cases, {"nothing": ("/", None)}, seconds=0.05, rounds=1)
    assert list(found.columns) == ["Flask", "FastAPI"] and list(found.index) == ["nothing"]
    assert found.notna().all().all() and (found < float("inf")).all().all()


def test_the_block_begins_when_the_server_is_busy_and_ends_with_it_idle() -> None:
    with app_server(fastapi_app, "x", by="uvicorn") as server:
        with kept_busy(f"{server.url}/slow", connections=3):
            assert httpx.get(f"{server.url}/slow", trust_env=False).json() > 3
            assert load(server.url, connections=1, requests=10).answers == 10
        before = httpx.get(f"{server.url}/slow", trust_env=False).json()
        assert httpx.get(f"{server.url}/slow", trust_env=False).json() == before + 1


def test_a_busy_client_that_is_refused_is_an_error() -> None:
    with (
        app_server(fastapi_app, "x", by="uvicorn") as server,
        pytest.raises(httpx.HTTPStatusError, match="404"),
        kept_busy(f"{server.url}/absent"),
    ):
        pass


def test_the_table_of_the_bench_is_read_from_its_file(tmp_path: Path) -> None:
    assert contest.bench_table(tmp_path / "absent.json") == contest.NO_BENCH
    row = {"key": "ceiling", "server": "raw", "workers": 1, "connections": 16, "rows_a_request": 1}
    rows = [
        row | {"key": "flask", "server": "Flask", "requests_per_s": 250, "p99_ms": 80.0},
        row | {"requests_per_s": 5000, "p99_ms": 4.0},
        row | {"connections": 64, "requests_per_s": 6000, "p99_ms": 9.0},
        row | {"key": "none", "server": "not here", "requests_per_s": None, "p99_ms": None},
    ]
    (tmp_path / "serving.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    told = contest.bench_table(tmp_path / "serving.json").splitlines()[1:]
    assert [line.split() for line in told] == [
        ["raw", "1", "5,000", "4", "100%"],
        ["Flask", "1", "250", "80", "5%"],
        ["not", "here", "1", "not", "measured"],
    ]
