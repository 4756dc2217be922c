"""Lab 02 by `labkit grade`: a small class, each answer in an isolated process, scored as in the notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from labkit.grading.isolation import strongest

from .classroom import Class
from .notebooks import ROOT

LAB = "lab02_model_to_api"
# One wrong answer in an otherwise right submission, and what its student must be told.
WRONG = {
    "schema": "NaN passes a comparison by hand",
    "start": "loaded for each request",
    "predict": "a blocking async def",
    "batch": "zipped to the shortest",
    "errors": "a traceback",
    "health": "always ready",
    "service": "an example that is refused",
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Student to row of the gradebook; students are named after what they answered."""
    folder = tmp_path_factory.mktemp("lab02")
    lab = Class.of(LAB)
    kinds = {kind: {name: lab.answers(name)[kind][0] for name in lab.exercises} for kind in ("ours", "stub", "right")}
    wrong = {name: {**kinds["ours"], name: lab.wrong[name][which][0]} for name, which in WRONG.items()}
    lab.hand_in(folder / "submitted", kinds | wrong)
    command = [
        sys.executable,
        "-m",
        "labkit.cli",
        "grade",
        LAB,
        str(folder / "submitted"),
        "--out",
        str(folder / "out"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"isolation: {strongest()[0]}")
    kept = json.loads((folder / "out" / "gradebook.json").read_text(encoding="utf-8"))
    return {row["student"]: row for row in kept["submissions"]}


def outcomes(row: dict[str, Any]) -> dict[str, str]:
    return {report["exercise"]: report["outcome"] for report in row["reports"]}


def test_everybody_is_graded_in_the_strongest_isolation(graded: dict[str, dict[str, Any]]) -> None:
    assert set(graded) == {"ours", "stub", "right", *WRONG}
    assert {row["isolation"] for row in graded.values()} == {strongest()[0]}


@pytest.mark.parametrize("student", ["ours", "right"])
def test_right_answers_earn_every_point(graded: dict[str, dict[str, Any]], student: str) -> None:
    assert set(outcomes(graded[student]).values()) == {"correct"}, graded[student]["reports"]


def test_stubs_are_not_attempted(graded: dict[str, dict[str, Any]]) -> None:
    assert set(outcomes(graded["stub"]).values()) == {"not attempted"}


@pytest.mark.parametrize("exercise", WRONG)
def test_a_wrong_answer_is_found_and_told(graded: dict[str, dict[str, Any]], exercise: str) -> None:
    found = outcomes(graded[exercise])
    assert found[exercise] == "incorrect"
    fragment = Class.of(LAB).wrong[exercise][WRONG[exercise]][1]
    report = next(report for report in graded[exercise]["reports"] if report["exercise"] == exercise)
    messages = [case["message"] for case in report["cases"] if case["state"] == "failed"]
    assert any(fragment in message for message in messages), messages
    before = list(WRONG)[: list(WRONG).index(exercise)]
    assert {found[name] for name in before} <= {"correct"}
