"""Every exercise of every lab, proven: what its check says to right, wrong, unwritten answers."""

from __future__ import annotations

import contextlib
import io
import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labkit.answer import notebook_answer
from labkit.exercise import Report
from labkit.lab import Lab
from labkit.notebook import LabNotebook, read

ROOT = Path(__file__).resolve().parents[1]
NAMES = [path.stem for path in sorted(ROOT.glob("solutions/*/*.ipynb"))]
SEEDS = (0, 1, 20_130_101)  # what the notebook takes, and two of those a grader could take
WITH_ENGINE = SEEDS[1]  # of a lab that needs a container engine the solution's notebook itself tries the first
RIGHT_ENOUGH, WRONG_ENOUGH = 1, 3


@dataclass
class Proven:
    """One lab with all it takes to try answers: its set-up has run once."""

    lab: Lab
    solution: LabNotebook
    release: LabNotebook
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def sparing(self) -> bool:
        """Whether its answers name those that are tried in a container engine; the others are not, to save time."""
        return hasattr(answers(self.lab.name), "ENGINE")

    def in_engine(self, exercise: str, answer: str) -> bool:
        return self.sparing and answer in answers(self.lab.name).ENGINE[exercise]

    def try_answer(self, exercise: str, source: str, seed: int = 0, engine: bool = False) -> Report:
        """Judge this source as the answer to one exercise; ours stand for the other exercises."""
        names = dict(self.names)
        for id_, ours in self.solution.answers.items():
            run(source if id_ == exercise else ours, f"answer {id_}", names)
        return self.judge(exercise, names, seed, engine)

    def judge(self, exercise: str, names: dict[str, Any], seed: int = 0, engine: bool = False) -> Report:
        printed = io.StringIO()
        allowed = () if self.sparing and not engine else None
        # An answer may change the working folder, to one that is gone after the check.
        with contextlib.chdir(ROOT), contextlib.redirect_stderr(printed), notebook_answer(names, allowed) as answer:
            report = self.lab.judge(exercise, answer, seed)
        assert not printed.getvalue(), f"the check of {exercise} wrote to stderr: {printed.getvalue()}"
        assert report._repr_html_()
        return report


def run(source: str, where: str, names: dict[str, Any]) -> None:
    file = f"<ipython-input {where}>"  # so that an error is told with its line, as in the notebook
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec", dont_inherit=True), names)


def answers(name: str) -> ModuleType:
    return import_module(f".answers.{name}", __package__)


@cache
def notebook(folder: str, name: str) -> LabNotebook:
    return read(ROOT / folder / name / f"{name}.ipynb")


@pytest.fixture(scope="module")
def proven(request: pytest.FixtureRequest) -> Iterator[Proven]:
    name = request.param
    lab = import_module(f"checks.{name}").lab
    made = Proven(lab, notebook("solutions", name), notebook("labs", name), {"__name__": "__main__"})
    for part in made.solution.setup:
        run(part.source, part.id, made.names)
    yield made
    made.names.clear()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its rows: (lab, exercise), or (lab, exercise, name of an answer to try)."""
    if "exercise" not in metafunc.fixturenames:
        return
    kind = {"right": "RIGHT", "wrong": "WRONG"}.get(
        next((n for n in ("right", "wrong") if n in metafunc.fixturenames), "")
    )
    rows = [
        (name, exercise, *((answer,) if answer else ()))
        for name in NAMES
        for exercise in notebook("solutions", name).answers
        for answer in (getattr(answers(name), kind).get(exercise, {}) if kind else [None])
    ]
    wanted = ["proven", "exercise", *([kind.lower()] if kind else [])]
    ids = ["-".join(row) for row in rows]
    metafunc.parametrize(wanted, rows, indirect=["proven"], ids=ids, scope="module")


def failed(report: Report) -> str:
    return "\n".join(f"{case.name}: {case.message} | {case.got}" for case in report.cases if case.state != "passed")


def lacking(untried: list[str], engine: bool) -> bool:
    """Whether these cases were not tried for want of something on this machine, and not of permission."""
    return bool(untried) and (engine or all("bash was not found" in reason for reason in untried))


def assert_right(report: Report, engine: bool) -> None:
    """Nothing has failed, and every case was tried unless it needs an engine: that is asked for, or the test skips."""
    untried = [case.message for case in report.cases if case.state == "not tried"]
    if not untried:
        assert (report.outcome, report.score) == ("correct", report.points), failed(report)
        return
    assert (report.outcome, report.score < report.points) == ("not all tried", True), failed(report)
    if lacking(untried, engine):
        pytest.skip(f"{len(untried)} cases. {untried[0]}")
    assert all("labkit grade --engine" in reason for reason in untried)


@pytest.mark.parametrize("seed", SEEDS)
def test_solution_is_correct(proven: Proven, exercise: str, seed: int) -> None:
    engine = proven.sparing and seed == WITH_ENGINE
    assert_right(proven.try_answer(exercise, proven.solution.answers[exercise], seed, engine), engine)


def test_stub_is_not_attempted(proven: Proven, exercise: str) -> None:
    report = proven.try_answer(exercise, proven.release.answers[exercise])
    assert (report.outcome, report.score) == ("not attempted", 0)


def test_stub_is_not_attempted_where_nothing_else_is_written(proven: Proven, exercise: str) -> None:
    names = dict(proven.names)
    for id_, stub in proven.release.answers.items():
        run(stub, f"answer {id_}", names)
    assert proven.judge(exercise, names).outcome == "not attempted"


def test_answer_cell_that_never_ran_is_not_attempted(proven: Proven, exercise: str) -> None:
    report = proven.judge(exercise, dict(proven.names))
    assert report.outcome == "not attempted" and "not defined yet" in report.message


def test_other_right_answer_is_correct(proven: Proven, exercise: str, right: str) -> None:
    engine = proven.in_engine(exercise, right)
    assert_right(proven.try_answer(exercise, answers(proven.lab.name).RIGHT[exercise][right], engine=engine), engine)


def test_wrong_answer_is_told_what_is_wrong(proven: Proven, exercise: str, wrong: str) -> None:
    source, fragment = answers(proven.lab.name).WRONG[exercise][wrong]
    engine = proven.in_engine(exercise, wrong)
    report = proven.try_answer(exercise, source, engine=engine)
    untried = [case.message for case in report.cases if case.state == "not tried"]
    if lacking(untried, engine):
        pytest.skip(untried[0])
    assert report.outcome == "incorrect" and report.score < report.points
    messages = [case.message for case in report.cases if case.state == "failed"]
    assert any(fragment in message for message in messages), f"not said: {fragment!r}\nsaid:\n{failed(report)}"
    assert all(messages) and "Traceback" not in failed(report)


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_enough_answers_to_try(name: str) -> None:
    tried = answers(name)
    exercises = set(notebook("solutions", name).answers)
    assert set(import_module(f"checks.{name}").lab.exercises) == exercises
    assert set(tried.RIGHT) == set(tried.WRONG) == exercises
    for exercise in exercises:
        assert len(tried.RIGHT[exercise]) >= RIGHT_ENOUGH, f"{name} {exercise}: too few right answers"
        assert len(tried.WRONG[exercise]) >= WRONG_ENOUGH, f"{name} {exercise}: too few wrong answers"


def test_there_are_labs() -> None:
    assert NAMES
