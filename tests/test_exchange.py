"""Lesson 03's plumbing: lines and notes of exchanges, other programs, versions over time, bundles in a zip."""

from __future__ import annotations

import sys
import zipfile
from datetime import date
from io import BytesIO
from pathlib import Path

import httpx
import matplotlib
import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse

from flight_delays.bundle import load_bundle
from flight_delays.features import FEATURES
from flight_delays.flights import load_flights, split_by_day
from flight_delays.prediction_log import PredictionLog
from flight_delays.schemas import PREDICTION_REQUEST
from lessonkit import programs
from lessonkit.evening import EVENING
from lessonkit.exchange import Notes, predictions_made, tell
from lessonkit.programs import output_of
from lessonkit.served import served
from lessonkit.shelf import build_bundles, pack
from lessonkit.timeline import count_by_version, draw_versions, logged_versions

METRICS = """# TYPE flight_delays_predictions counter
flight_delays_predictions_total{version="2013-05-31-00000000"} 3.0
flight_delays_predictions_total{version="2013-06-30-00000000"} 4.0
# TYPE flight_delays_predictions_late counter
flight_delays_predictions_late_total{version="2013-06-30-00000000"} 2.0
"""


@pytest.fixture(scope="module")
def url() -> str:
    app = FastAPI()

    @app.get("/fine")
    def fine() -> dict[str, str]:
        return {"title": "of a book"}

    @app.get("/fault")
    def fault() -> JSONResponse:
        return JSONResponse({"title": "It is taken"}, 409, media_type="application/problem+json")

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(METRICS)

    with served(app) as client:
        yield str(client.base_url)


def test_an_exchange_is_told_in_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert tell(client.get("/fine", params={"secret": 1})).json() == {"title": "of a book"}
    assert capsys.readouterr().out == "GET /fine -> 200\n"


def test_the_first_answer_with_each_status_is_noted_and_only_problems_have_a_title(url: str) -> None:
    notes = Notes()
    with notes.client(url) as anybody, notes.client(url, "a key") as admin:
        assert "authorization" not in anybody.headers
        assert admin.headers["authorization"] == "Bearer a key"
        for path in ("/fault", "/fine", "/nothing"):
            anybody.get(path)
        admin.get("/metrics")
    assert [line.split(maxsplit=3) for line in notes.table().splitlines()[1:]] == [
        ["200", "GET", "/fine"],
        ["404", "GET", "/nothing"],
        ["409", "GET", "/fault", "It is taken"],
    ]


def test_predictions_of_all_versions_are_counted_and_nothing_else(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert predictions_made(client) == 7


def test_a_program_reads_what_is_typed_and_no_shell_reads_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("import sys\nprint(sys.argv[1], sys.stdin.read())", encoding="utf-8")
    said = output_of(
        "python3" if programs.shutil.which("python3") else "python", tmp_path / "echo.py", "$HOME; *", typed=b"typed"
    )
    assert said.decode().split() == ["$HOME;", "*", "typed"]


def test_a_missing_program_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    assert output_of("node", "--version") is None
    assert capsys.readouterr().out == "node was not found. The installer of nodejs.org, or `apt install nodejs`.\n"


def test_a_program_that_fails_is_an_error_with_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "fail.py").write_text("raise SystemExit('line one\\nthe reason')", encoding="utf-8")
    with pytest.raises(RuntimeError, match="ended with 1: the reason"):
        output_of("python3" if programs.shutil.which("python3") else "python", tmp_path / "fail.py")


def test_versions_are_read_from_a_log_in_order_and_since_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with PredictionLog(path) as log:
        for number, version in enumerate(["old", "a", "a", "b"]):
            row = np.zeros((1, len(FEATURES)), np.float32)
            log.append(f"r{number}", 100.0 + number, version, row, np.zeros(1, np.float32), None)
    found = logged_versions(path, since=101.0)
    assert found["version"].tolist() == ["a", "a", "b"]
    assert found["second"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="no prediction was logged"):
        logged_versions(path, since=200.0)


def test_answers_are_counted_by_time_and_version_and_a_pause_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = pd.DataFrame({"second": [0.0, 0.05, 0.15, 0.42], "version": ["a", "a", "b", "b"]})
    counts = count_by_version(answers)
    assert counts["a"].tolist() == [2, 0, 0, 0, 0]
    assert counts["b"].tolist() == [0, 1, 0, 0, 1]
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: None)
    draw_versions(answers, {"a": "older", "b": "newer", "c": "never asked"}, "a title")
    axes = matplotlib.pyplot.gca()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["older", "newer", "never asked"]
    assert sum(bar.get_height() for bar in axes.patches) == len(answers)
    matplotlib.pyplot.close("all")


def test_a_threshold_is_a_version_and_the_zip_holds_the_bundle(tmp_path: Path) -> None:
    flights, _ = split_by_day(load_flights(), date(2013, 2, 10))
    low, high = build_bundles(flights.iloc[::4], date(2013, 2, 10), [0.2, 0.3], tmp_path)
    assert low != high
    assert load_bundle(tmp_path / high).info.threshold == 0.3
    with zipfile.ZipFile(BytesIO(pack(tmp_path / low))) as archive:
        archive.extractall(tmp_path / "out")
        assert archive.namelist() == ["model.onnx", "bundle.json"]
    assert load_bundle(tmp_path / "out").version == low


def test_the_evening_is_a_flight_that_the_service_takes() -> None:
    PREDICTION_REQUEST.validate_python({"flight": dict(EVENING)})


def test_a_program_is_found_beside_this_python_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = ".exe" if sys.platform == "win32" else ""
    for folder in ("beside", "on the path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"tool{ending}").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "on the path"))
    assert Path(programs.find("tool")).parent.name == "on the path"
    monkeypatch.setattr(programs.sys, "executable", str(tmp_path / "beside" / "python"))
    assert Path(programs.find("tool")).parent.name == "beside"
    assert programs.find("no such program") is None
