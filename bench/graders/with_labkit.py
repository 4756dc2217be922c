"""Grades a folder of submissions with labkit, and writes what `labkit grade` writes; a process of its own.

    python -m bench.graders.with_labkit LAB SUBMISSIONS OUT WORKERS
    python -m bench.graders.with_labkit LAB SUBMISSIONS OUT plain

`plain` runs the same cells and the same checks in one process, without isolation: what the answers
themselves cost.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.graders.classes import class_of
from labkit.answer import Answer
from labkit.exercise import Report
from labkit.grading import batch
from labkit.grading.command import write_all
from labkit.grading.grader import Order
from labkit.grading.isolation import Limits, strongest
from labkit.grading.model import Graded
from labkit.grading.rebuild import answers
from labkit.grading.submissions import find
from labkit.host import Host

Scores = dict[str, dict[str, float]]
SEED = 1


def grade(lab: str, submissions: Path, out: Path, workers: int) -> Scores:
    found = class_of(lab)
    assignment = batch.Assignment(lab, found.release, "bench")
    order = replace(assignment.order(SEED, strongest()[0], Limits()), checks=found.checks)
    cache = batch.Cache(out / "cache")
    graded = batch.grade(assignment, find(submissions, lab), order, cache, batch.here(workers))
    write_all(graded, out)
    return _scores(graded)


def _scores(graded: list[Graded]) -> Scores:
    return {one.student: {report.exercise: report.score for report in one.reports} for one in graded}


def plain(lab: str, submissions: Path) -> Scores:
    found = class_of(lab)
    assignment = batch.Assignment(lab, found.release, "bench")
    order: Order = assignment.order(SEED, "process", Limits())
    judge = import_module(found.checks).lab.judge
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in order.setup:
        _exec(source, "set-up", names)
    before, told = dict(names), {}
    for submission in find(submissions, lab):
        cells = answers(submission.content or b"", found.release).sources
        told[submission.student] = _plain(cells, names, judge)
        names.clear()  # the same dict, since the functions of the set-up look their names up in it
        names.update(before)
    return told


def _plain(cells: Mapping[str, str], names: dict[str, Any], judge: Callable[..., Report]) -> dict[str, float]:
    """Each answer cell and then its check, as in the notebook."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        host = Host(names, Path(folder), _forked, is_answer=lambda name: name.startswith("<answer"))
        answer, scores = Answer(host.serve), {}
        for exercise, source in cells.items():
            _exec(source, f"<answer {exercise}>", names)
            scores[exercise] = judge(exercise, answer, SEED).score
    return scores


def _exec(source: str, name: str, names: dict[str, Any]) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            exec(compile(source, name, "exec"), names)
        except Exception:  # an answer's own; the check says what it thinks of it
            if name == "set-up":
                raise


def _forked(name: str, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> bytes:
    """A call in a fork of this process: the cheapest there is, so that the grader is compared with the least."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            host = Host({name: function}, Path(tempfile.gettempdir()), lambda *_: b"")
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(host.run(lambda: function(*args, **kwargs)))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        reply = pipe.read()
    os.waitpid(child, 0)
    return reply


def main(lab: str, submissions: str, out: str, how: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    told = plain(lab, Path(submissions)) if how == "plain" else grade(lab, Path(submissions), folder, int(how))
    (folder / "scores.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
