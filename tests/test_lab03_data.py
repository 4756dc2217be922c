"""Lab 03's candidates hold what the lab says was planted, and its figures are those of the models."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from checks.lab03_audit import draw, rates
from checks.lab03_common import draw_candidates
from checks.lab03_resume_screener import lab
from labkit.answer import notebook_answer
from labkit.notebook import read
from lessonkit.candidates import FEATURES, OTHER, WANTED, Candidates, fit_screener, make_candidates
from lessonkit.desk import Desk, open_desk
from lessonkit.served import served

ROOT = Path(__file__).resolve().parents[1]
SOLUTION = ROOT / "solutions/lab03_resume_screener/lab03_resume_screener.ipynb"


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """The candidates of the notebook."""
    return make_candidates(4_000, seed=8)


@pytest.fixture(scope="module")
def scores(candidates: Candidates) -> dict[str, np.ndarray]:
    """Version to the scores of the notebook's candidates."""
    desk = open_desk()
    models = {**desk.models, "v3": desk.fit(["skills"])}
    return {version: model.scores(candidates.records()) for version, model in models.items()}


def audited(scores: np.ndarray, candidates: Candidates, threshold: str = "0.5000") -> dict:
    """What a right answer to the last exercise gives for the texts of the API."""
    texts = [f"{score:.4f}" for score in scores]
    return rates((texts, candidates.group.tolist(), candidates.suited.tolist(), threshold))


def test_both_groups_are_suited_equally_often(candidates: Candidates) -> None:
    shares = [candidates.suited[candidates.group == group].mean() for group in "AB"]
    assert [f"{share:.0%}" for share in shares] == ["40%", "41%"]
    many = make_candidates(60_000, seed=1)
    one, two = (many.suited[many.group == group].mean() for group in "AB")
    assert abs(one - two) < 0.012  # three standard errors of the difference


def test_whether_somebody_is_suited_depends_on_skills_alone() -> None:
    many = make_candidates(60_000, seed=1)
    wanted = np.array([sum(skill in WANTED for skill in skills) for skills in many.skills])
    for count in (3, 4, 5):
        among = wanted == count
        for proxy in (many.gap_years > 0, many.years > 6):
            assert abs(many.suited[among & proxy].mean() - many.suited[among & ~proxy].mean()) < 0.04


def test_gap_years_tell_the_group_and_years_tell_some_of_it(candidates: Candidates) -> None:
    without = [float((candidates.gap_years[candidates.group == group] == 0).mean()) for group in "AB"]
    assert [f"{share:.0%}" for share in without] == ["66%", "9%"]  # as the notebook says of the plot
    means = [candidates.years[candidates.group == group].mean() for group in "AB"]
    assert 1.2 < means[0] - means[1] < 2.5
    assert (candidates.years >= 0).all() and candidates.years.max() <= 12


def test_past_recruiters_disliked_gaps(candidates: Candidates) -> None:
    invited = [candidates.invited[candidates.group == group].mean() for group in "AB"]
    assert invited[1] < 0.75 * invited[0]


def test_candidates_have_attributes_and_no_name(candidates: Candidates) -> None:
    assert candidates.ids[:2] == ["c-00001", "c-00002"]
    assert {skill for skills in candidates.skills for skill in skills} <= {*WANTED, *OTHER, "typing"}
    assert all(set(record) == set(FEATURES) for record in candidates.records())
    json.dumps(candidates.records()[0])  # plain Python, as a client would send it


def test_seeds_decide() -> None:
    one, same, other = (make_candidates(200, seed) for seed in (1, 1, 2))
    assert one.records() == same.records() and np.array_equal(one.invited, same.invited)
    assert one.records() != other.records()


def test_a_model_looks_at_its_features_alone() -> None:
    past = make_candidates(400, 3)
    record = past.records()[0]
    changed = {**record, "gap_years": record["gap_years"] + 4}
    blind, seeing = (fit_screener(features, past) for features in (["skills", "years"], FEATURES))
    assert blind.score(record) == blind.score(changed)
    assert seeing.score(record) > seeing.score(changed)
    assert (blind.scored, blind.features) == (2, ("skills", "years"))
    assert fit_screener(["years", "skills"], past).score(record) == pytest.approx(blind.score(record), abs=1e-9)


@pytest.mark.parametrize("features", [[], ["skills", "group"], ["years", "years"]])
def test_features_that_cannot_be_are_refused(features: list[str]) -> None:
    with pytest.raises(ValueError, match="features must be some of skills, years, gap_years, each at most once"):
        fit_screener(features, make_candidates(50, 3))


def test_a_model_scores_a_candidate_with_unknown_skills() -> None:
    model = fit_screener(FEATURES, make_candidates(400, 3))
    score = model.score({"skills": ["falconry"], "years": 60, "gap_years": 60})
    assert 0 <= score <= 1


def test_figures_of_the_table_and_of_the_prose(candidates: Candidates, scores: dict[str, np.ndarray]) -> None:
    found = {version: audited(each, candidates) for version, each in scores.items()}
    selected = {version: [f"{one['selection_rates'][group]:.1%}" for group in "AB"] for version, one in found.items()}
    assert selected == {"v1": ["38.7%", "25.7%"], "v2": ["35.8%", "29.9%"], "v3": ["31.5%", "33.3%"]}
    suited = {version: [f"{one['true_positive_rates'][group]:.1%}" for group in "AB"] for version, one in found.items()}
    assert suited == {"v1": ["73.4%", "53.0%"], "v2": ["69.5%", "60.5%"], "v3": ["67.0%", "69.6%"]}
    assert {v: f"{one['impact_ratio']:.2f}" for v, one in found.items()} == {"v1": "0.67", "v2": "0.84", "v3": "0.95"}
    right = {version: f"{((each >= 0.5) == candidates.suited).mean():.1%}" for version, each in scores.items()}
    assert right == {"v1": "78.6%", "v2": "79.2%", "v3": "82.2%"}


def test_plotted_ratios_are_as_the_prose_reads_them(candidates: Candidates, scores: dict[str, np.ndarray]) -> None:
    thresholds = [f"{value:.4f}" for value in np.arange(0.2, 0.81, 0.05)]
    assert thresholds[0] == "0.2000" and thresholds[-1] == "0.8000"
    ratio = {
        version: np.array([audited(each, candidates, limit)["impact_ratio"] for limit in thresholds])
        for version, each in scores.items()
    }
    assert (ratio["v1"] < 0.8).all() and (ratio["v3"] > 0.9).all()
    limits = np.array(thresholds, dtype=float)
    assert (ratio["v2"][limits < 0.72] > 0.8).all() and (ratio["v2"][limits > 0.72] < 0.8).all()


def test_the_candidate_on_either_side_of_the_line(candidates: Candidates, scores: dict[str, np.ndarray]) -> None:
    person = candidates.records()[662]
    assert (person["years"], person["gap_years"]) == (2, 3)
    assert sum(skill in WANTED for skill in person["skills"]) == 6
    shown = {version: f"{each[662]:.4f}" for version, each in scores.items()}
    assert shown == {"v1": "0.3966", "v2": "0.5473", "v3": "0.6954"}


def test_prose_and_outputs_hold_the_same_figures() -> None:
    """What the Markdown says of scores stands in an output above or below it."""
    notebook = json.loads(SOLUTION.read_text(encoding="utf-8"))
    prose = "".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    outputs = json.dumps([c["outputs"] for c in notebook["cells"] if c["cell_type"] == "code"])
    figures = set(re.findall(r"\b0\.\d{4}\b|\b\d\d\.\d%", prose)) - {"0.5000"}
    assert len(figures) >= 10
    assert not {figure for figure in figures if figure not in outputs}


def test_set_up_takes_nothing_but_the_lab_from_its_checks() -> None:
    """A grader runs the set-up where the checks are absent."""
    taken = [
        alias.name
        for part in read(SOLUTION).setup
        for node in ast.walk(ast.parse(part.source))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "checks"
        for alias in node.names
    ]
    assert taken == ["lab"]


def unwritten(*_: object) -> None:
    raise NotImplementedError()


@pytest.mark.parametrize("exercise", ["create", "retry"])
@pytest.mark.parametrize(
    "first", [{}, {"candidate_model": unwritten, "score_text": unwritten}], ids=["not run", "stub"]
)
def test_without_exercise_1_the_posts_are_no_attempt(exercise: str, first: dict[str, Any]) -> None:
    names = {"add_create": lambda app, desk: None, "add_create_once": lambda app, desk: None, **first}
    with notebook_answer(names) as answer:
        report = lab.judge(exercise, answer)
    assert report.outcome == "not attempted"
    assert report.message.startswith("This builds on `candidate_model` and `score_text` of exercise 1")


def test_drawn_candidates_differ() -> None:
    drawn = draw_candidates(np.random.default_rng(0), 23)
    assert len(drawn) == 23 and len({json.dumps(one) for one in drawn}) == 23


def test_a_drawn_audit_by_hand() -> None:
    by_hand = (
        ["0.5000", "0.4999", "0.9000", "0.1000", "0.6000"],
        list("AABBB"),
        [True, False, True, True, False],
        "0.5",
    )
    assert rates(by_hand) == {
        "selection_rates": {"A": 1 / 2, "B": 2 / 3},
        "impact_ratio": pytest.approx(3 / 4),
        "true_positive_rates": {"A": 1.0, "B": 1 / 2},
    }


@pytest.mark.parametrize("seed", range(30))
def test_no_two_figures_of_a_drawn_audit_coincide(seed: int) -> None:
    """So that a wrong answer cannot be right by chance."""
    drawn = draw(np.random.default_rng(seed))
    right = rates(drawn)
    assert right["selection_rates"] != right["true_positive_rates"]
    assert right["impact_ratio"] < 0.95 and all(0 < rate < 1 for rate in right["selection_rates"].values())
    assert drawn[0].count("0.5000") >= 2 and "1.0000" not in drawn[0]


def test_desk_numbers_screenings_and_knows_its_versions() -> None:
    desk = open_desk(past=200)
    record = draw_candidates(np.random.default_rng(0), 1)[0]
    first, second = (desk.add(record, "v1", "0.1000") for _ in range(2))
    assert (first["id"], second["id"]) == (1, 2) and list(desk.screenings) == [1, 2]
    assert first == {"id": 1, "candidate": record, "version": "v1", "score": "0.1000"}
    desk.activate("v2")
    assert desk.active == "v2"
    with pytest.raises(KeyError, match="there is no version v9"):
        desk.activate("v9")
    assert desk.active == "v2"


def test_desk_gives_every_screening_a_number_of_its_own_when_many_add() -> None:
    desk = Desk({}, "v1", make_candidates(10, 1))
    start = threading.Barrier(8)

    def add() -> None:
        start.wait()
        for _ in range(200):
            desk.add({}, "v1", "0.0000")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(desk.screenings) == list(range(1, 1_601))


def test_served_answers_over_a_socket_and_ends_with_its_block() -> None:
    before = threading.active_count()
    app = FastAPI()

    @app.get("/")
    def hello() -> dict[str, int]:
        return {"one": 1}

    with served(app) as client:
        assert client.get("/").json() == {"one": 1}
        address = str(client.base_url)
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
    assert threading.active_count() == before


def test_served_answers_on_after_an_error_of_the_app() -> None:
    app = FastAPI()

    @app.get("/bug")
    def bug() -> None:
        raise KeyError("a bug")

    with served(app) as client:
        statuses = {client.get("/bug").status_code for _ in range(60)}
    assert statuses == {500}


def test_served_tells_that_an_app_does_not_start() -> None:
    def broken(_: FastAPI):
        raise RuntimeError("no model")
        yield

    app = FastAPI(lifespan=contextlib.asynccontextmanager(broken))
    with pytest.raises(RuntimeError, match="the app did not start"), served(app):
        pass
