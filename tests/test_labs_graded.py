"""Labs by `labkit grade`: a small class of each, every answer in an isolated process, scored as in the notebook.

Lab 01 is graded beside the real nbgrader, in test_grading_nbgrader.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labkit.grading.isolation import strongest

from .classroom import Class
from .notebooks import ROOT

# By lab and exercise: one wrong answer in an otherwise right submission, whose student must be told why.
WRONG = {
    "lab02_model_to_api": {
        "schema": "NaN passes a comparison by hand",
        "start": "loaded for each request",
        "predict": "a blocking async def",
        "batch": "zipped to the shortest",
        "errors": "a traceback",
        "health": "always ready",
        "service": "an example that is refused",
    },
    "lab03_resume_screener": {
        "candidate": "unknown fields accepted",
        "create": "200 for everything",
        "retry": "the key is not looked at",
        "read": "by offset",
        "models": "a second DELETE is a 500",
        "active": "If-Match ignored",
        "audit": "of all candidates",
    },
    # Graded without an engine, as a grader does that was not asked to: what one tells is in test_lab04_engine.py.
    "lab04_containerize": {
        "serve": "single quotes",
        "cache": "requirements first, and the rest as well",
        "guard": "a name",
        "stop": "exec form alone",
        "ship": "the whole folder from the first stage",
        "secret": "ENV, emptied later",
        "compose": "read-only, and nowhere to write",
    },
    "lab05_gatekeeper": {
        "data": "whole rows twice",
        "interval": "by flights",
        "gate": "NaN passes the gate",
        "behaviour": "equal to the last digit",
        "deploy": "a timeout goes through",
        "workflow": "a pipe loses the exit code",
        "find": "the condition is not seen",
        "mend": "the pipe stays",
    },
    "lab06_drift_detective": {
        "psi": "missing values left out",
        "trap": "the logarithm of the p-value",
        "limits": "each check by itself",
        "labels": "as_of not looked at",
        "estimate": "the share of late flights",
        "detective": "all airports together",
        "decide": "retrain first",
        "alarms": "never seen costs nothing",
    },
}
# What a right answer comes to where some of a lab's cases need an engine.
RIGHT = {"lab04_containerize": "not all tried"}
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=WRONG)
def lab(request: pytest.FixtureRequest) -> Class:
    return Class.of(request.param)


@pytest.fixture(scope="module")
def graded(lab: Class, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Student to row of the gradebook; students are named after what they answered."""
    folder = tmp_path_factory.mktemp(lab.lab)
    kinds = {kind: {name: lab.answers(name)[kind][0] for name in lab.exercises} for kind in ("ours", "stub", "right")}
    wrong = {name: {**kinds["ours"], name: lab.wrong[name][which][0]} for name, which in WRONG[lab.lab].items()}
    lab.hand_in(folder / "submitted", kinds | wrong)
    return grade(lab.lab, folder)


def grade(lab: str, folder: Path) -> Rows:
    arguments = ["grade", lab, str(folder / "submitted"), "--out", str(folder / "out")]
    command = [sys.executable, "-m", "labkit.cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"isolation: {strongest()[0]}")
    kept = json.loads((folder / "out" / "gradebook.json").read_text(encoding="utf-8"))
    return {row["student"]: row for row in kept["submissions"]}


def outcomes(row: dict[str, Any]) -> dict[str, str]:
    return {report["exercise"]: report["outcome"] for report in row["reports"]}


def test_everybody_is_graded_in_the_strongest_isolation(lab: Class, graded: Rows) -> None:
    assert set(graded) == {"ours", "stub", "right", *WRONG[lab.lab]}
    assert {row["isolation"] for row in graded.values()} == {strongest()[0]}


def right(lab: Class) -> str:
    return RIGHT.get(lab.lab, "correct")


@pytest.mark.parametrize("student", ["ours", "right"])
def test_right_answers_earn_every_point_that_could_be_tried(lab: Class, graded: Rows, student: str) -> None:
    assert set(outcomes(graded[student]).values()) == {right(lab)}, graded[student]["reports"]


def test_stubs_are_not_attempted(graded: Rows) -> None:
    assert set(outcomes(graded["stub"]).values()) == {"not attempted"}


def test_a_wrong_answer_is_found_and_told(lab: Class, graded: Rows) -> None:
    exercises = list(WRONG[lab.lab])
    assert exercises == lab.exercises
    for place, exercise in enumerate(exercises):
        found = outcomes(graded[exercise])
        assert found[exercise] == "incorrect", exercise
        fragment = lab.wrong[exercise][WRONG[lab.lab][exercise]][1]
        report = next(report for report in graded[exercise]["reports"] if report["exercise"] == exercise)
        messages = [case["message"] for case in report["cases"] if case["state"] == "failed"]
        assert any(fragment in message for message in messages), (exercise, messages)
        assert {found[name] for name in exercises[:place]} <= {right(lab)}, (exercise, found)
