"""Grade the answers of one submission in a sandbox.

The checks run here, in a process that the learner's code never enters. If an answer takes its
process down, by a loop without end or on purpose, the exercises that are left are judged with a
new process: one bad answer costs its own exercise and no other.
"""

from __future__ import annotations

import atexit
import importlib
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache

from threadpoolctl import threadpool_limits

from labkit.answer import Wrong
from labkit.exercise import Outcome, Report
from labkit.grading.isolation import Level, Limits, strongest
from labkit.grading.remote import RemoteAnswer, Sandbox
from labkit.lab import Lab


@dataclass(frozen=True)
class Order:
    """How a lab is graded; small and plain, so that it travels to other machines.

    Attributes
    ----------
    lab
        The lab's name.
    setup
        Sources of the lab's set-up cells.
    seed
        Draws the inputs of the checks; the notebook's own is 0.
    level
        The isolation to use.
    checks
        The module that holds the checks as `lab`; by default `checks.LAB`.
    allowed
        What cases may use outside the answers' isolated processes, such as "engine": see `Answer.allows`.
    """

    lab: str
    setup: tuple[str, ...]
    seed: int
    level: Level
    limits: Limits = field(default_factory=Limits)
    checks: str = ""
    allowed: tuple[str, ...] = ()


Result = tuple[tuple[Report, ...], float]  # reports, and the seconds it took
Work = tuple[str, Order, Mapping[str, str]]  # a name for it, the lab, the answer cells


class LessIsolation(RuntimeError):
    """The machine that should grade allows less isolation than was asked for."""


class Grader:
    """Grades answers to one lab, one after another, from one zygote. A context manager.

    `door`: that of a `Sandbox` of this machine whose zygote is used.
    """

    def __init__(self, order: Order, door: str = "") -> None:
        self.order = order
        self.lab: Lab = importlib.import_module(order.checks or f"checks.{order.lab}").lab
        self._sandbox = Sandbox(list(order.setup), order.level, order.limits, door, order.allowed)
        self._one_at_a_time = threading.Lock()  # a cluster's worker may have several threads

    def __enter__(self) -> Grader:
        # As over there: sums in another order have other last digits, and a check may compare them all.
        threadpool_limits(1)
        self._sandbox.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._sandbox.__exit__(*error)

    def grade(self, cells: Mapping[str, str]) -> tuple[Report, ...]:
        """A report for each exercise of the lab, in its order.

        As in the notebook, an exercise is judged when its own answer cell and those before it have
        run. One that fails after others did is tried again in a new process, without their cells
        and with them, and its best report counts.

        Parameters
        ----------
        cells
            Source of each answer cell by the exercise's id. One that is missing is not attempted.
        """
        with self._one_at_a_time:
            return tuple(_Submission(self, cells).reports())

    def report(self, exercise: str, message: str, outcome: Outcome = "incorrect") -> Report:
        """A report without points, for what could not be judged."""
        found = self.lab.exercises[exercise]
        return Report(exercise, found.title, outcome, 0.0, found.points, message=message)

    def new_process(self, until: float) -> AbstractContextManager[RemoteAnswer]:
        """An isolated process with nothing of an answer in it."""
        return self._sandbox.answer(until)


class _Submission:
    """The answers of one submission on their way through the exercises."""

    def __init__(self, grader: Grader, cells: Mapping[str, str]) -> None:
        self._grader, self._cells = grader, cells
        self._exercises = list(grader.lab.exercises)
        self._until = time.monotonic() + grader.order.limits.total_s
        self._stopped: set[str] = set()  # answer cells that took the process down while they ran
        self._failed: set[str] = set()

    def reports(self) -> list[Report]:
        """A report for each exercise. One process serves them all; what takes it down costs a new one."""
        done: list[Report] = []
        while len(done) < len(self._exercises):
            if self._late():
                late = "The submission as a whole was stopped before this exercise was tried."
                return done + [self._grader.report(exercise, late) for exercise in self._exercises[len(done) :]]
            done += self._in_one_process(len(done))
        return done

    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _in_one_process(self, start: int) -> list[Report]:
        """Reports from the exercise at `start` on, to the end or until the process is lost."""
        found: list[Report] = []
        with self._grader.new_process(self._until) as answer:
            if not self._run(self._exercises[:start], answer):
                return []
            for exercise in self._exercises[start:]:
                report = self._judge(exercise, answer)
                found.append(self._again(report) if self._fails(report) else report)
                if answer.lost or self._late():
                    break
        return found

    def _fails(self, report: Report) -> bool:
        """Incorrect, or not attempted for another reason than that the cell is a stub still."""
        stub = "NotImplementedError" in self._cells.get(report.exercise, "NotImplementedError")
        return report.outcome == "incorrect" or (report.outcome == "not attempted" and not stub)

    def _run(self, exercises: list[str], answer: RemoteAnswer) -> bool:
        """Run answer cells; False if one of them took the process down, which is then left out for good."""
        for exercise in exercises:
            if exercise in self._cells and exercise not in self._stopped:
                try:
                    answer.run_cell(exercise, self._cells[exercise])
                except Wrong:
                    self._stopped.add(exercise)
                    return False
        return True

    def _again(self, report: Report) -> Report:
        """Try an exercise again that failed after others did: they must not cost it anything.

        What failed before may have filled the disk, left a lie in the socket or a wrong name in the
        namespace. So a new process tries the exercise without the cells that failed. If that gives
        the same report, nothing that came before had a part in it. If not, another new process tries
        it with all cells, which it may build on. The best report counts.
        """
        exercise = report.exercise
        if self._failed and exercise in self._cells and exercise not in self._stopped:
            before = self._exercises[: self._exercises.index(exercise)]
            tried = [self._anew(exercise, [name for name in before if name not in self._failed])]
            if tried[0] != report:
                tried.insert(0, self._anew(exercise, before))
            report = max([one for one in tried if one is not None] + [report], key=float)
        if self._fails(report):
            self._failed.add(exercise)
        return report

    def _anew(self, exercise: str, before: list[str]) -> Report | None:
        """Judge one exercise in a new process in which only the cells `before` have run; None if one broke down."""
        with self._grader.new_process(self._until) as answer:
            return self._judge(exercise, answer) if self._run(before, answer) else None

    def _judge(self, exercise: str, answer: RemoteAnswer) -> Report:
        """Run the exercise's own cell and judge it."""
        order, lab = self._grader.order, self._grader.lab
        if exercise not in self._cells:
            missing = "The answer cell of this exercise is missing from the notebook."
            return self._grader.report(exercise, missing, "not attempted")
        try:
            error = answer.run_cell(exercise, self._cells[exercise])
        except Wrong:
            self._stopped.add(exercise)
            return self._grader.report(exercise, f"Your answer cell was stopped while it ran: {answer.lost}.")
        try:
            report = lab.judge(exercise, answer, order.seed)
        except Wrong as wrong:
            report = self._grader.report(exercise, wrong.message)
        except Exception as broken:  # what came back broke the engine's own reading of it
            told = f"What came back cannot be judged: it made the check itself stop with {type(broken).__name__}."
            report = self._grader.report(exercise, told)
        if error and report.outcome != "correct":
            told = f"Your answer cell raised an error when it was run: {error}"
            report = replace(report, outcome="incorrect", message=told)
        if report.outcome == "incorrect":
            report = replace(report, hint=lab.exercises[exercise].hints[0])
        return report


@lru_cache(maxsize=2)
def _kept(order: Order, door: str) -> Grader:
    """One grader for each lab and process; a zygote of its own ends with the process."""
    grader = Grader(order, door).__enter__()
    atexit.register(grader.__exit__)
    return grader


def grade_one(order: Order, cells: Mapping[str, str], door: str = "") -> Result:
    """Grade one submission's answers; gives the reports and the seconds it took.

    What a worker runs, on this machine (`door`: see `Grader`) or on another one.

    Raises
    ------
    LessIsolation
        This machine does not allow the order's level.
    """
    allowed, why = _allowed()
    if order.level == "namespaces" and allowed != "namespaces":
        raise LessIsolation(f"a worker allows only the level {allowed}: {why}")
    started = time.perf_counter()
    reports = _kept(order, door).grade(cells)
    return reports, time.perf_counter() - started


def grade_work(work: Work, door: str = "") -> tuple[str, Result]:
    """Grade one submission's answers under a name.

    It stands here and not with the batch, so that a new worker imports little before it begins.
    """
    key, order, cells = work
    return key, grade_one(order, cells, door)


@lru_cache(maxsize=1)
def _allowed() -> tuple[Level, str]:
    return strongest()
