"""Many submissions: cached, resumed, in any order, on more workers, on a cluster that loses one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.grading import batch, grader
from labkit.grading.batch import Assignment, Cache, Result, Work
from labkit.grading.grader import Grader, LessIsolation, Order
from labkit.grading.isolation import Limits, strongest
from labkit.grading.model import Graded, Submission
from labkit.grading.remote import Sandbox, SetupFailed

from .light_lab import RIGHT, SETUP

LEVEL, WHY = strongest()
ORDER = Order("light_lab", SETUP, 7, LEVEL, Limits(wall_s=20), checks=f"{__package__}.light_lab")


def cell(name: str, source: str) -> nbformat.NotebookNode:
    marks = {"schema_version": 3, "grade_id": name, "grade": False, "solution": True, "locked": False, "task": False}
    return new_code_cell(source, metadata={"nbgrader": marks})


def notebook(cells: dict[str, str]) -> nbformat.NotebookNode:
    return new_notebook(cells=[cell(name, source) for name, source in cells.items()])


STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
ASSIGNMENT = Assignment("light_lab", notebook(dict.fromkeys(RIGHT, STUB)), "this engine")


def submission(student: str, **answers: str) -> Submission:
    content = nbformat.writes(notebook({**RIGHT, **answers})).encode()
    return Submission(student, f"{student}.ipynb", content)


def a_class(size: int) -> list[Submission]:
    """Every third wrong, all of them different."""
    return [
        submission(f"student-{n:03}", double=f"def double(x):\n    return {2 + (n % 3 == 0)} * x  # {n}")
        for n in range(size)
    ]


def counted(calls: list[str], stop_after: int = 10**9) -> batch.Workers:
    """Workers of this process that note what they grade, and are interrupted after some."""

    def run(work: Sequence[Work]) -> Iterator[tuple[str, Result]]:
        for done in batch.here(1)(work):
            if len(calls) == stop_after:
                raise KeyboardInterrupt
            calls.append(done[0])
            yield done

    return run


def graded(submissions: list[Submission], folder: Path, workers: batch.Workers) -> list[Graded]:
    return batch.grade(ASSIGNMENT, submissions, ORDER, Cache(folder), workers, progress=False)


def scores(results: list[Graded]) -> dict[str, tuple]:
    return {
        one.student: tuple((r.exercise, r.outcome, r.score, tuple(r.cases)) for r in one.reports) for one in results
    }


def test_scores_are_what_the_answers_earn(tmp_path: Path) -> None:
    found = graded(a_class(6), tmp_path, counted([]))
    assert [one.score for one in found] == [4, 6, 6, 4, 6, 6]
    assert {one.isolation for one in found} == {LEVEL}
    assert all(one.points == 6 and len(one.sha256) == 64 for one in found)


def test_scores_do_not_move_in_another_order_or_on_more_workers(tmp_path: Path) -> None:
    students = a_class(8)
    first = scores(graded(students, tmp_path / "a", batch.here(1)))
    assert scores(graded(students[::-1], tmp_path / "b", batch.here(2))) == first
    assert scores(graded(students, tmp_path / "a", counted([]))) == first


def test_the_set_up_runs_once_for_all_workers(tmp_path: Path) -> None:
    """Each zygote that runs it adds a line to a file."""
    noted = tmp_path / "runs.txt"
    order = replace(ORDER, setup=(*SETUP, f"with open({str(noted)!r}, 'a') as file: file.write('once ')"))
    found = batch.grade(ASSIGNMENT, a_class(6), order, Cache(tmp_path), batch.here(2), progress=False)
    assert [one.score for one in found] == [4, 6, 6, 4, 6, 6]
    assert noted.read_text(encoding="utf-8") == "once "


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_set_up_that_fails_is_named(jobs: int, tmp_path: Path) -> None:
    order = replace(ORDER, setup=(*SETUP, "import nothing_of_this_name"))
    with pytest.raises(SetupFailed, match="set-up cell 2: ModuleNotFoundError: No module named 'nothing_of"):
        batch.grade(ASSIGNMENT, a_class(2), order, Cache(tmp_path), batch.here(jobs), progress=False)


def test_what_runs_for_a_worker_ends_with_it() -> None:
    """A worker that is killed leaves no answer running; the zygote goes on for the others."""
    with Sandbox(list(SETUP), LEVEL, ORDER.limits) as first:
        first.wait()
        with Sandbox(list(SETUP), LEVEL, ORDER.limits, first.door) as second:
            lost = second.answer(time.monotonic() + 60)
            supervisor = psutil.Process(lost.__enter__()._number)
        supervisor.wait(20)  # the block's connection is closed, and nobody has ended the answer
        with first.answer(time.monotonic() + 60) as answer:
            assert answer.run_cell("double", RIGHT["double"]) == ""


def test_a_name_of_the_set_up_can_be_asked_for_where_no_answer_has_changed_it() -> None:
    """What the lab's set-up defines is the answer's to redefine; a check that relies on it asks elsewhere."""
    setup = [*SETUP, "def helper():\n    return 'ours'"]
    with Sandbox(setup, LEVEL, ORDER.limits) as sandbox, sandbox.answer(time.monotonic() + 60) as answer:
        answer.run_cell("double", "def helper():\n    return 'theirs'")
        assert answer.call("helper").value == "theirs"
        assert [answer.untouched().call("helper").value for _ in range(2)] == ["ours", "ours"]


def test_an_exercise_does_not_pay_for_what_failed_before_it(tmp_path: Path) -> None:
    """`write` is tried without what spoilt the process; an answer that builds on a failed one still has it."""
    spoils = "def total(values):\n    return 0\ndel np\nimport builtins\nbuiltins.open = None"
    builds = "FACTOR = 3\ndef double(x):\n    return FACTOR * x"
    uses = "def total(values):\n    return sum(values.tolist()) + FACTOR - 3"
    found = graded([submission("a", total=spoils), submission("b", double=builds, total=uses)], tmp_path, batch.here(1))
    assert [[r.outcome for r in one.reports] for one in found] == [
        ["correct", "incorrect", "correct"],
        ["incorrect", "correct", "correct"],
    ]


def test_only_what_changed_is_graded_again(tmp_path: Path) -> None:
    students, calls = a_class(5), []
    graded(students, tmp_path, counted(calls))
    assert len(calls) == 5
    graded(students, tmp_path, counted(calls))
    assert len(calls) == 5
    students[2] = submission(students[2].student, double="def double(x):\n    return x + x")
    changed = graded(students, tmp_path, counted(calls))
    assert len(calls) == 6 and changed[2].score == 6


def test_another_seed_or_another_engine_grades_anew() -> None:
    cells = dict(RIGHT)
    keys = {
        ASSIGNMENT.key(cells, ORDER),
        ASSIGNMENT.key(cells, replace(ORDER, seed=8)),
        replace(ASSIGNMENT, engine="another").key(cells, ORDER),
        ASSIGNMENT.key({**cells, "double": "x = 1"}, ORDER),
    }
    assert len(keys) == 4


def test_equal_answers_are_graded_once_and_counted_for_each(tmp_path: Path) -> None:
    calls: list[str] = []
    found = graded([submission("a"), submission("b")], tmp_path, counted(calls))
    assert len(calls) == 1 and [one.score for one in found] == [6, 6]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    students, calls = a_class(6), []
    with pytest.raises(KeyboardInterrupt):
        graded(students, tmp_path, counted(calls, stop_after=3))
    assert len(list(tmp_path.glob("*.json"))) == 3
    found = graded(students, tmp_path, counted(calls))
    assert len(calls) == len(set(calls)) == 6 and len(found) == 6


def test_a_spoilt_cache_entry_is_graded_again(tmp_path: Path) -> None:
    students, calls = a_class(2), []
    before = scores(graded(students, tmp_path, counted(calls)))
    next(tmp_path.glob("*.json")).write_text("{", encoding="utf-8")
    assert scores(graded(students, tmp_path, counted(calls))) == before and len(calls) == 3


def test_a_broken_submission_stops_nobody(tmp_path: Path) -> None:
    broken = Submission("broken", "broken.ipynb", b"{")
    lost = Submission("lost", "lost.ipynb", None, "The file is empty.")
    found = graded([submission("a"), broken, lost, submission("z")], tmp_path, counted([]))
    assert [one.score for one in found] == [6, 0, 0, 6]
    assert found[1].problem and found[2].problem == "The file is empty."


def test_without_namespaces_limits_are_left_and_the_level_says_so(tmp_path: Path) -> None:
    order = replace(ORDER, level="process", limits=Limits(wall_s=2, memory_mb=300))
    with Grader(order) as made:
        assert [r.outcome for r in made.grade(RIGHT)] == ["correct"] * 3
        loop = made.grade({**RIGHT, "total": "def total(values):\n    while True: pass"})
        assert [r.outcome for r in loop] == ["correct", "incorrect", "correct"]


@pytest.mark.skipif(LEVEL != "namespaces", reason=f"namespaces cannot be had here: {WHY}")
def test_a_worker_with_less_isolation_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader, "_allowed", lambda: ("process", "a test says so"))
    with pytest.raises(LessIsolation, match="a test says so"):
        grader.grade_one(ORDER, RIGHT)


def test_a_cluster_that_loses_a_worker_loses_nothing(tmp_path: Path) -> None:
    """A real Dask cluster of three worker processes, one of which is killed while it grades."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed: it comes with the tests")
    slow = "def double(x):\n    import time; time.sleep(0.3)\n    return 2 * x  # {}"
    students = [submission(f"student-{n:02}", double=slow.format(n)) for n in range(12)]
    options = {"n_workers": 3, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options) as cluster:
        counted_keys: list[str] = []

        def workers(work: Sequence[Work]) -> Iterator[tuple[str, Result]]:
            for number, done in enumerate(batch.cluster(cluster.scheduler_address)(work)):
                if number == 2:
                    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
                counted_keys.append(done[0])
                yield done

        found = graded(students, tmp_path, workers)
    assert [one.score for one in found] == [6] * 12
    assert len(counted_keys) == len(set(counted_keys)) == 12
    assert len(json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))["reports"]) == 3
