"""Grade many submissions: what was graded before is not graded again, and nothing is lost.

Answers are graded once for each different content. Each result is written as soon as it is there, so
that a run that was stopped goes on where it was, whoever runs it and on however many workers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from pydantic import TypeAdapter
from tqdm import tqdm

from labkit.exercise import Report
from labkit.grading.grader import Order, Result, Work, grade_work
from labkit.grading.isolation import Level, Limits
from labkit.grading.model import Answers, Graded, Submission
from labkit.grading.rebuild import answers as answers_of
from labkit.grading.remote import Sandbox, SetupFailed
from labkit.notebook import parts

Workers = Callable[[Sequence[Work]], Iterable[tuple[str, Result]]]

_REPORTS = TypeAdapter(tuple[Report, ...])


@dataclass(frozen=True)
class Assignment:
    """A lab as it is graded: the release notebook, which is trusted, and what follows from it."""

    lab: str
    notebook: NotebookNode
    engine: str  # digest of the checks and of labkit: another one grades anew

    @classmethod
    def of(cls, root: Path, lab: str) -> Assignment:
        """The lab in the course's folder.

        Raises
        ------
        FileNotFoundError
            There is no such lab; the message names those there are.
        """
        path = root / "labs" / lab / f"{lab}.ipynb"
        if not path.is_file():
            there = ", ".join(sorted(found.stem for found in root.glob("labs/*/*.ipynb")))
            raise FileNotFoundError(f"there is no lab {lab}; there are {there}")
        return cls(lab, nbformat.read(path, as_version=4), _digest_of_code(root))

    def order(self, seed: int, level: Level, limits: Limits, allowed: tuple[str, ...] = ()) -> Order:
        setup = tuple(part.source for part in parts(self.notebook).setup)
        return Order(self.lab, setup, seed, level, limits, allowed=allowed)

    def key(self, cells: Mapping[str, str], order: Order) -> str:
        """Names a result by everything it follows from."""
        told = [self.engine, asdict(order), dict(cells)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _digest_of_code(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((root / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Cache:
    """Results by key, one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Result | None:
        """The result, or None if there is none or it cannot be read."""
        try:
            kept = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            return _REPORTS.validate_python(kept["reports"]), float(kept["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, result: Result) -> None:
        text = json.dumps({"reports": _REPORTS.dump_python(result[0], mode="json"), "seconds": result[1]})
        handle, name = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(self._folder / f"{key}.json")


def grade(
    assignment: Assignment,
    submissions: Sequence[Submission],
    order: Order,
    cache: Cache,
    workers: Workers,
    *,
    progress: bool = True,
) -> list[Graded]:
    """Grade every submission and give the results in the order of the submissions.

    KeyboardInterrupt passes through; what was graded until then is in the cache.
    """
    taken = {s: _taken(s, assignment.notebook) for s in submissions}
    keys = {s: assignment.key(answers.sources, order) for s, answers in taken.items() if not answers.problem}
    waiting = {key: taken[s].sources for s, key in keys.items() if _open(cache.get(key), order)}
    work = [(key, order, cells) for key, cells in waiting.items()]
    shown = tqdm(total=len(work), desc=assignment.lab, unit="submission", disable=not progress or not work)
    with shown:
        for key, result in workers(work) if work else ():
            cache.put(key, result)
            shown.update()
    return [_graded(s, taken[s], keys.get(s), order, cache) for s in submissions]


def _open(result: Result | None, order: Order) -> bool:
    """Whether there is no result, or one that lacks cases which may be tried and could not be then."""
    if result is None:
        return True
    return bool(order.allowed) and any(case.state == "not tried" for report in result[0] for case in report.cases)


def _taken(submission: Submission, notebook: NotebookNode) -> Answers:
    if submission.content is None:
        return Answers(problem=submission.problem)
    return answers_of(submission.content, notebook)


def _graded(submission: Submission, answers: Answers, key: str | None, order: Order, cache: Cache) -> Graded:
    content = submission.content or b""
    told = {
        "student": submission.student,
        "lab": order.lab,
        "origin": submission.origin,
        "sha256": hashlib.sha256(content).hexdigest(),
        "notes": (*submission.notes, *answers.notes),
    }
    result = cache.get(key) if key else None
    if result is None:
        return Graded(**told, isolation="", seconds=0.0, reports=(), problem=answers.problem)
    return Graded(**told, isolation=order.level, seconds=round(result[1], 3), reports=result[0])


def here(jobs: int) -> Workers:
    """Workers on this machine: `jobs` processes, or none besides this one if it is 1.

    The lab's set-up runs once, in a zygote that all of them use.
    """

    def run(work: Sequence[Work]) -> Iterator[tuple[str, Result]]:
        if jobs == 1:
            yield from map(grade_work, work)
            return
        from joblib import Parallel, delayed

        # One submission at a time: the slowest must not keep others waiting behind it.
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        for order, of_order in groupby(work, key=itemgetter(1)):
            with Sandbox(list(order.setup), order.level, order.limits) as shared:
                try:
                    yield from parallel(delayed(grade_work)(item, shared.door) for item in of_order)
                except SetupFailed:
                    shared.wait()  # knows the reason
                    raise

    return run


def cluster(scheduler: str) -> Workers:
    """Workers of the Dask cluster whose scheduler listens at `scheduler`; it must have the course installed.

    Each result is named by its content: a worker that dies in the middle has its work done by
    another one, and a result that arrives twice is the same result.
    """

    def run(work: Sequence[Work]) -> Iterator[tuple[str, Result]]:
        from distributed import Client, as_completed

        with Client(scheduler) as client:
            waiting = [client.submit(grade_work, item, key=f"grade-{item[0]}") for item in work]
            for done in as_completed(waiting):
                yield done.result()
                done.release()

    return run
