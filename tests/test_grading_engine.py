"""What runs outside the answers' own processes is tried only where the grader is asked to, and the results say so."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.grading import batch
from labkit.grading.batch import Assignment, Cache
from labkit.grading.classpage import class_html
from labkit.grading.feedback import feedback_html
from labkit.grading.grader import Order, Result, Work
from labkit.grading.isolation import Limits, strongest
from labkit.grading.model import Graded, Submission
from labkit.grading.results import from_json, to_json, write_gradebook

from .light_engine_lab import VARIABLE

MARKS = {"schema_version": 3, "grade_id": "recipe", "grade": False, "solution": True, "locked": False, "task": False}
ORDER = Order("light_engine_lab", (), 1, strongest()[0], Limits(wall_s=20), checks=f"{__package__}.light_engine_lab")
ASKED = replace(ORDER, allowed=("engine",))
RIGHT, WRONG = "def recipe():\n    return 'salt'", "def recipe():\n    return 'sugar'"
NOT_ASKED = "Not tried: the grader was not asked to; `labkit grade --engine` does"


def notebook(source: str) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_code_cell(source, metadata={"nbgrader": MARKS})])


ASSIGNMENT = Assignment("light_engine_lab", notebook("raise NotImplementedError()"), "this engine")


def graded(order: Order, folder: Path, source: str = RIGHT, calls: list[str] | None = None) -> Graded:
    def workers(work: Sequence[Work]) -> Iterator[tuple[str, Result]]:
        for done in batch.here(1)(work):
            (calls if calls is not None else []).append(done[0])
            yield done

    handed_in = Submission("ada", "ada.ipynb", nbformat.writes(notebook(source)).encode())
    (result,) = batch.grade(ASSIGNMENT, [handed_in], order, Cache(folder), workers, progress=False)
    return result


@pytest.fixture
def stove(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "warm")


def test_without_the_option_the_case_is_not_tried_and_everything_says_so(tmp_path: Path, stove: None) -> None:
    found = graded(ORDER, tmp_path / "cache")
    (report,) = found.reports
    assert (report.outcome, report.score, report.points) == ("not all tried", 1, 2)
    assert report.message.startswith("All that could be tried is right. 1 of 2 cases was not tried and earned nothing")
    assert report.cases[1].message == NOT_ASKED and not report.hint
    assert from_json(to_json(found)) == found
    table, _ = write_gradebook([found], tmp_path)
    (row,) = csv.DictReader(table.open(encoding="utf-8-sig", newline=""))
    assert (row["score"], row["points"], row["recipe outcome"]) == ("1", "2", "not all tried")
    assert "All that could be tried is right" in feedback_html(found) and "labkit grade --engine" in feedback_html(
        found
    )
    assert "not all tried" in class_html([found])


def test_with_the_option_it_is_tried(tmp_path: Path, stove: None) -> None:
    assert graded(ASKED, tmp_path).reports[0].outcome == "correct"
    assert graded(ASKED, tmp_path, WRONG).reports[0].score == 0
    assert "not all tried" not in class_html([graded(ASKED, tmp_path)])


def test_a_wrong_answer_is_incorrect_whatever_could_not_be_tried(tmp_path: Path) -> None:
    (report,) = graded(ORDER, tmp_path, WRONG).reports
    assert report.outcome == "incorrect" and report.message.startswith("1 of 2 cases was not tried")


def test_results_with_and_without_it_are_kept_apart(tmp_path: Path, stove: None) -> None:
    assert len({ASSIGNMENT.key({"recipe": RIGHT}, order) for order in (ORDER, ASKED)}) == 2
    outcomes = [graded(order, tmp_path).reports[0].outcome for order in (ORDER, ASKED, ORDER)]
    assert outcomes == ["not all tried", "correct", "not all tried"]


def test_what_was_missing_once_is_tried_again_and_then_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.delenv(VARIABLE, raising=False)
    (report,) = graded(ASKED, tmp_path, calls=calls).reports
    assert report.outcome == "not all tried" and report.cases[1].message == "Not tried: the stove is cold"
    monkeypatch.setenv(VARIABLE, "warm")
    assert graded(ASKED, tmp_path, calls=calls).reports[0].outcome == "correct"
    assert graded(ASKED, tmp_path, calls=calls).reports[0].outcome == "correct"
    assert len(calls) == 2


def test_what_was_not_asked_for_is_graded_once(tmp_path: Path) -> None:
    calls: list[str] = []
    graded(ORDER, tmp_path, calls=calls)
    graded(ORDER, tmp_path, calls=calls)
    assert len(calls) == 1
