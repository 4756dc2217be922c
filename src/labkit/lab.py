"""A lab in the notebook: check, hint, solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labkit import places
from labkit.answer import Answer, notebook_answer
from labkit.exercise import Exercise, Report
from labkit.progress import Progress


class Shown:
    """A short text that a notebook draws as Markdown."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


class Lab:
    """The exercises of one lab, as its notebook uses them.

        from checks.lab01_save_once import lab
        lab.check("save")       # tries the answer, shows the outcome
        lab.hint("save")        # one more hint
        lab.solution("save")    # a worked answer, after an attempt

    Parameters
    ----------
    name
        The name of the notebook's file, without its ending.
    exercises
        The classes, in the order of the notebook.
    """

    def __init__(self, name: str, exercises: Sequence[type[Exercise]]) -> None:
        self.name = name
        self.exercises = {exercise.id: exercise for exercise in exercises}

    def check(self, exercise: str, *, namespace: Mapping[str, Any] | None = None) -> Report:
        """Try the answer to one exercise in this notebook; note and give the report.

        Raises
        ------
        KeyError
            There is no such exercise; the message names those there are.
        """
        found = self._find(exercise)
        with notebook_answer(_notebook_names() if namespace is None else namespace) as answer:
            report = self.judge(exercise, answer)
        progress = Progress()
        progress.record(self.name, report)
        if report.outcome == "incorrect":
            report = replace(report, hint=self._next_hint(found, progress))
        return report

    def judge(self, exercise: str, answer: Answer, seed: int = 0) -> Report:
        """Judge one exercise of an answer wherever it runs; notes nothing."""
        return self._find(exercise)().judge(answer, seed)

    def hint(self, exercise: str) -> Shown:
        """The next hint of an exercise; the last one again when there are no more."""
        return Shown(self._next_hint(self._find(exercise), Progress()))

    def solution(self, exercise: str) -> Shown:
        """A worked answer, once the exercise was attempted, where this copy of the course has the solutions."""
        self._find(exercise)
        if not Progress().of(self.name, exercise).attempts:
            return Shown(
                f'Try it first: write an answer and run `lab.check("{exercise}")`. Then this shows a worked answer.'
            )
        path = places.solution_path(self.name)
        if path is None:
            return Shown("This copy of the course has no solutions; ask whoever handed out the lab.")
        import nbformat  # a third of a second, which no check and no grader's worker needs to wait for

        cells = nbformat.read(path, as_version=4).cells
        source = next(c.source for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == exercise)
        kept = [
            line for line in source.splitlines() if "### BEGIN SOLUTION" not in line and "### END SOLUTION" not in line
        ]
        return Shown("One worked answer; yours may differ and be right.\n\n```python\n" + "\n".join(kept) + "\n```")

    def _next_hint(self, exercise: type[Exercise], progress: Progress) -> str:
        number = progress.next_hint(self.name, exercise.id, len(exercise.hints))
        last = number == len(exercise.hints) - 1
        more = (
            f' That was the last one; `lab.solution("{exercise.id}")` shows a worked answer after an attempt.'
            if last
            else ""
        )
        return f"({number + 1} of {len(exercise.hints)}) {exercise.hints[number]}{more}"

    def _find(self, exercise: str) -> type[Exercise]:
        if exercise not in self.exercises:
            raise KeyError(f"{self.name} has no exercise {exercise!r}; it has {', '.join(self.exercises)}")
        return self.exercises[exercise]


def _notebook_names() -> Mapping[str, Any]:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("there is no notebook here; give the names: lab.check(id, namespace=...)")
    return shell.user_ns
