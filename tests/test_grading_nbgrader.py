"""The real nbgrader makes the same lab of a solution, and gives honest submissions the same scores."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from labkit.build import release
from labkit.grading import batch
from labkit.grading.isolation import Limits, strongest
from labkit.grading.submissions import find

from .classroom import Class
from .nbgrader_environment import LOCK, Course, environment
from .notebooks import ROOT
from .test_environment import LEARNER, pins

LAB = "lab01_save_once"
STUDENTS = 5  # the solution, the stubs, three mixtures


@pytest.fixture(scope="module")
def students() -> Class:
    return Class.of(LAB)


@pytest.fixture(scope="module")
def course(students: Class, tmp_path_factory: pytest.TempPathFactory) -> Course:
    made = environment()
    if made.python is None:
        pytest.skip(made.reason)
    course = Course(tmp_path_factory.mktemp("nbgrader").resolve(), made.python)
    course.add(LAB, students.solution)
    return course


def test_nbgrader_runs_beside_what_learners_have() -> None:
    """Other versions of scikit-learn or onnx could score an answer otherwise."""
    learners, theirs = pins(ROOT, LEARNER), pins(ROOT, LOCK)
    assert {name: theirs.get(name) for name in learners} == learners


@pytest.mark.parametrize("lab", sorted(path.stem for path in ROOT.glob("labs/*/*.ipynb")))
def test_generate_assignment_gives_the_lab(course: Course, lab: str) -> None:
    """Every key of the notebook's JSON is the same: nbgrader 0.9.6 adds nothing that we leave out."""
    solution = nbformat.read(ROOT / "solutions" / lab / f"{lab}.ipynb", as_version=4)
    if lab != LAB:  # which the course has
        course.add(lab, solution)
    theirs = json.loads(course.released(lab).read_text(encoding="utf-8"))
    built = json.loads(nbformat.writes(release(solution)))
    for ours, cell in zip(built["cells"], theirs["cells"], strict=True):
        assert ours == cell
    assert built == theirs
    handed_out = json.loads((ROOT / "labs" / lab / f"{lab}.ipynb").read_text(encoding="utf-8"))
    assert handed_out == theirs


def test_autograde_gives_the_scores_of_labkit(course: Course, students: Class, tmp_path: Path) -> None:
    answers = students.mixed(STUDENTS)
    students.hand_in(course.submitted, answers)
    assignment = batch.Assignment.of(ROOT, LAB)
    order = assignment.order(1, strongest()[0], Limits())
    submissions = find(course.submitted, LAB)
    graded = batch.grade(assignment, submissions, order, batch.Cache(tmp_path), batch.here(1), progress=False)
    ours = {one.student: {report.exercise: report.score for report in one.reports} for one in graded}
    course.run(course.command("autograde", LAB))

    assert ours == course.scores(LAB)
    assert list(ours) == list(answers)
    partial = [report for one in graded for report in one.reports if 0 < report.score < report.points]
    assert partial, "no answer here earns a part of its points, so that partial credit was not compared"
    solution, stubs, *_ = graded
    assert (solution.score, stubs.score) == (solution.points, 0)


def test_the_gradebook_takes_the_scores_of_labkit(course: Course) -> None:
    """nbgrader_import_check.py runs where nbgrader is, which this process is not."""
    told = course.run([str(course.python), str(ROOT / "tests" / "nbgrader_import_check.py"), LAB])
    assert told.strip() == f"{LAB}: nbgrader's gradebook takes the scores"
