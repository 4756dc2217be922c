"""Lab 05's tables, models and service are what the lab says of them; so are the files of its clinic."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from checks.lab05_behaviour import changes, draw_flights, weights
from checks.lab05_clinic import DEFECTS
from checks.lab05_data import draw
from checks.lab05_gate import LIMITS, brier_rise, by_days, cost_of, differences, gate_window, simulate
from checks.lab05_gatekeeper import lab
from labkit.answer import notebook_answer
from lessonkit import standins
from lessonkit.challengers import contest
from lessonkit.clinic import CLINIC, KINDS, LANGUAGES, numbered
from lessonkit.easy_cases import easy_cases
from lessonkit.failing_service import SmallService, golden_rows, predict_one
from lessonkit.flight_tables import COLUMNS, RANGES, as_table, columns_of, sample_flights
from lessonkit.rehearsal import rehearse, rehearse_script
from lessonkit.scorecard import HONEST, Scorecard

from .notebooks import ROOT
from .test_exercises import notebook

SEEDS = range(5)


def test_a_sample_is_of_real_flights_and_has_each_day() -> None:
    table = sample_flights(300, "2013-07-03", "2013-07-30", seed=3)
    assert len(table) == 300 and tuple(table.columns) == COLUMNS
    assert table["departure"].dt.normalize().nunique() == 28
    assert table["departure"].is_monotonic_increasing
    assert not table.duplicated(["carrier", "flight", "departure"]).any()
    assert table.equals(sample_flights(300, "2013-07-03", "2013-07-30", seed=3))
    assert not table.equals(sample_flights(300, "2013-07-03", "2013-07-30", seed=4))


def test_every_reading_of_the_year_is_possible() -> None:
    table = sample_flights(20_000, "2013-01-01", "2013-12-31", seed=1)
    for column, (low, high) in RANGES.items():
        assert table[column].dropna().between(low, high).all(), column


def test_a_table_survives_its_journey() -> None:
    table = sample_flights(100, "2013-02-01", "2013-02-20", seed=2)
    again = as_table(columns_of(table))
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_tables_break_no_rule(seed: int) -> None:
    drawn = draw(np.random.default_rng(seed))
    table = drawn.table
    day = table["departure"].dt.normalize()
    assert (table.isna().mean() < 0.02).all()  # the check takes 2% more away
    assert day.nunique() == 28 and day.dt.month.nunique() == 2
    assert set(table["carrier"]) < set(drawn.carriers) and 0 < (drawn.today - drawn.last).days <= 7


def test_in_simulated_windows_days_matter_and_the_truth_is_known() -> None:
    """The interval by days holds the truth about as often as it says, that by flights far less often."""
    rng = np.random.default_rng(0)
    held = {"days": 0, "flights": 0}
    means = []
    for _ in range(80):
        window = simulate(rng, 24, 0.01, 0.03)
        means.append(differences(window).mean())
        for name, table in (("days", window), ("flights", window.assign(day=np.arange(len(window)).astype(str)))):
            low, high = by_days(table, draws=200)
            held[name] += low <= 0.01 <= high
    assert 0.88 <= held["days"] / 80 <= 1
    assert held["flights"] / 80 < 0.45
    assert abs(np.mean(means) - 0.01) < 0.003


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gate_is_shown_two_equally_good_models(seed: int) -> None:
    window = gate_window(np.random.default_rng(seed))
    assert abs(differences(window).mean()) < 0.0005
    assert abs(window["challenger"].mean() - window["late"].mean()) < 0.005
    assert cost_of(window, "challenger", LIMITS) == cost_of(window, "champion", LIMITS)
    assert all(abs(brier_rise(window, carrier)) < 0.001 for carrier in window["carrier"].unique())
    assert (window["carrier"] == "HA").sum() == 30 < LIMITS["slice_flights"]


@pytest.mark.parametrize("seed", SEEDS)
def test_scorecards_behave_as_their_weights_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = draw_flights(rng)
    assert not table.isna().any().any() and len(table) > 20
    honest = changes(weights(rng), table)
    assert honest["flight"] == 0 and 0 < honest["batch"] < 1e-5
    assert honest["precipitation"] > 0.02 and honest["visibility"] > 0.02
    assert changes(weights(rng, flight=0.02), table)["flight"] > 0.001
    assert changes(weights(rng, precipitation=-0.05), table)["precipitation"] < -0.002
    assert changes(weights(rng, visibility=0.05), table)["visibility"] < -0.002
    cases = easy_cases()
    probability = Scorecard(weights(rng))(cases)
    assert ((probability >= cases["low"]) & (probability <= cases["high"])).all()


def test_figures_of_the_contest_are_those_of_the_prose() -> None:
    """AUC and squared error of the four models, the intervals, and what is said of who is better."""
    june = contest()
    windows = {name: june.against(name) for name in ("newer", "balanced", "hours")}
    late = windows["newer"]["late"]
    given = {"champion": windows["newer"]["champion"], **{name: table["challenger"] for name, table in windows.items()}}
    auc = {name: round(roc_auc_score(late, p), 3) for name, p in given.items()}
    brier = {name: round(float(((p - late) ** 2).mean()), 3) for name, p in given.items()}
    assert auc == {"champion": 0.690, "newer": 0.746, "balanced": 0.751, "hours": 0.718}
    assert brier == {"champion": 0.194, "newer": 0.182, "balanced": 0.195, "hours": 0.189}
    assert windows["hours"]["day"].nunique() == 30 and len(late) == 8_000
    alone = windows["hours"].assign(day=np.arange(len(late)).astype(str))
    assert by_days(alone, draws=300)[1] < 0 < by_days(windows["hours"])[1] < 0.003
    assert by_days(windows["newer"])[1] < 0
    balanced = windows["balanced"]
    assert round(float(balanced["challenger"].mean() - late.mean()), 3) == 0.137
    assert cost_of(balanced, "challenger", LIMITS) < cost_of(balanced, "champion", LIMITS)
    assert round(brier_rise(windows["hours"], "9E"), 3) == 0.157


def test_a_scorecard_leaves_the_table_alone_and_can_say_nan() -> None:
    table = draw_flights(np.random.default_rng(1))
    before = table.copy()
    assert np.isnan(Scorecard({**HONEST, "broken": 0.05})(table)).sum() == (table["precipitation"] > 0.05).sum() > 0
    pd.testing.assert_frame_equal(table, before)


@pytest.fixture
def flight() -> dict:
    table = draw_flights(np.random.default_rng(2)).head(1).drop(columns="late").astype({"departure": str})
    return json.loads(table.to_json(orient="records"))[0]


def served(**trouble: object) -> tuple[SmallService, httpx.Client]:
    service = SmallService({"v1": HONEST, "v2": {"base": -1.0}}, "v1", dict(trouble))
    return service, service.client()


def test_the_service_keeps_its_contract(flight: dict) -> None:
    service, client = served()
    seen = client.get("/v1/champion")
    assert (seen.json(), seen.headers["etag"]) == ({"version": "v1"}, service.etag)
    assert client.put("/v1/models/v3", json={"base": -2.0}).status_code == 201
    assert client.put("/v1/models/v3", json={"base": -2.1}).status_code == 200
    assert client.put("/v1/models/v1", json=HONEST).status_code == 409
    assert client.put("/v1/models/v4", json="text").status_code == 422
    tag = {"If-Match": seen.headers["etag"]}
    assert client.put("/v1/champion", json={"version": "v3"}).status_code == 428
    assert client.put("/v1/champion", json={"version": "v9"}, headers=tag).status_code == 404
    switched = client.put("/v1/champion", json={"version": "v3"}, headers=tag)
    assert switched.status_code == 200 and switched.headers["etag"] != seen.headers["etag"]
    assert client.put("/v1/champion", json={"version": "v1"}, headers=tag).status_code == 412
    back = client.put("/v1/champion", json={"version": "v1"}, headers={"If-Match": switched.headers["etag"]})
    assert back.headers["etag"] != seen.headers["etag"]  # the same champion, another state
    answer = client.post("/v1/predictions", json=flight).json()
    assert answer == {"probability": predict_one(HONEST, flight), "version": "v1"}
    assert client.post("/v1/predictions", json={"carrier": "UA"}).status_code == 422
    assert client.get("/readyz").status_code == 200 and client.get("/nothing").status_code == 404


def test_the_service_fails_as_it_is_told(flight: dict) -> None:
    assert served(refuse={"v3": 503})[1].put("/v1/models/v3", json={}).status_code == 503
    assert served(ready={"v1": 503})[1].get("/readyz").status_code == 503
    assert served(predict={"v1": 500})[1].post("/v1/predictions", json=flight).status_code == 500
    assert served(says={"v1": "v2"})[1].post("/v1/predictions", json=flight).json()["version"] == "v2"
    assert served(null=["v1"])[1].post("/v1/predictions", json=flight).json()["probability"] is None
    other = served(weights={"v1": {"base": 0.0}})[1].post("/v1/predictions", json=flight).json()
    assert other["probability"] == pytest.approx(0.5)
    with pytest.raises(httpx.ReadTimeout):
        served(hang=["v1"])[1].post("/v1/predictions", json=flight)
    service, client = served(switched={"after": "GET", "to": "v2"})
    assert client.get("/v1/champion").json() == {"version": "v1"}
    assert client.get("/v1/champion").json() == {"version": "v2"}
    assert service.requests[1] == "somebody else: PUT /v1/champion v2"


def test_golden_rows_hold_what_the_model_gives(flight: dict) -> None:
    (row,) = golden_rows(HONEST, [flight])
    assert row == {"flight": flight, "probability": predict_one(HONEST, flight)}


# What stands on each line that holds a defect.
ON_THE_LINE = {
    "too many rights": "write-all",
    "not pinned": r"@main|:latest",
    "no such file": "requirements_prod.txt",
    "failure hidden": r"\| tee",
    "made-up figure": "94%",
    "old command": "::set-output",
    "always true": r"\}\} == 'success'",
    "wrong package": "pickle-mixin",
    "goes on": r"pytest|#",
    "key in the image": "AWS_SECRET_ACCESS_KEY",
    "wrong check": "DataQualityTestPreset",
}


def test_the_defects_stand_on_their_lines() -> None:
    assert {kind for _, kind, _ in DEFECTS} == set(KINDS) == set(ON_THE_LINE)
    assert len(DEFECTS) == 12 and set(CLINIC) == set(LANGUAGES)
    for file, kind, places in DEFECTS:
        lines = CLINIC[file].splitlines()
        for place in places:
            assert re.search(ON_THE_LINE[kind], lines[place - 1]), (file, place)
        shown = numbered(file).data
        assert f"{places[0]:>2}  {lines[places[0] - 1]}" in shown


def linted(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The workflows that our own answers give, as files."""
    folder = tmp_path_factory.mktemp("workflows")
    names: dict[str, object] = {}
    answers = notebook("solutions", "lab05_gatekeeper").answers
    for exercise in ("workflow", "mend"):
        exec(answers[exercise], names)
    made = {}
    for name in ("workflow", "mended_release"):
        made[name] = folder / f"{name}.yml"
        made[name].write_text(names[name]().lstrip("\n"), encoding="utf-8")
    return made


@pytest.mark.parametrize("name", ["workflow", "mended_release"])
def test_our_workflows_are_ones_that_github_takes_and_in_which_zizmor_finds_nothing_grave(
    workflows: dict[str, Path], name: str
) -> None:
    done = linted("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflows[name]))
    assert done.returncode == 0, done.stdout + done.stderr
    done = linted("zizmor", "--offline", "--min-severity", "medium", str(workflows[name]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pins_are_those_of_the_course() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    answers = notebook("solutions", "lab05_gatekeeper").answers
    for action in re.findall(r"uses: (\S+@[0-9a-f]{40})", answers["workflow"] + answers["mend"]):
        assert action in text, action
    assert yaml.safe_load(CLINIC["release.yml"])["permissions"] == "write-all"


@pytest.mark.parametrize(("exercise", "tried"), [("workflow", 3), ("mend", 1)])
def test_without_a_shell_what_can_be_read_is_judged_and_the_rest_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, exercise: str, tried: int
) -> None:
    monkeypatch.setattr(standins, "shell", lambda: None)
    names: dict[str, object] = {"rehearse": rehearse, "rehearse_script": rehearse_script}
    exec(notebook("solutions", "lab05_gatekeeper").answers[exercise], names)
    with notebook_answer(names) as answer:
        report = lab.judge(exercise, answer)
    states = [case.state for case in report.cases]
    assert report.outcome == "not all tried" and report.score < report.points
    assert (states.count("passed"), states.count("not tried")) == (tried, len(states) - tried)
    assert "bash was not found" in next(case.message for case in report.cases if case.state == "not tried")
