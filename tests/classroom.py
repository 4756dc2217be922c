"""Submissions of a whole class, made of a lab's own answers and of those in tests/answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode

from labkit.notebook import parts

from .notebooks import ROOT

Sources = Mapping[str, str]  # of answer cells, by exercise
SHARES = {"ours": 0.4, "right": 0.2, "wrong": 0.3, "stub": 0.1}


@dataclass(frozen=True)
class Class:
    """A lab and what its students may answer: its solution, its stubs, right and wrong answers by exercise."""

    lab: str
    solution: NotebookNode
    release: NotebookNode
    right: Mapping[str, Mapping[str, str]]
    wrong: Mapping[str, Mapping[str, tuple[str, str]]]

    @classmethod
    def of(cls, lab: str) -> Class:
        """A lab of the course."""
        answers = import_module(f".answers.{lab}", __package__)
        solution, release = (nbformat.read(ROOT / folder / lab / f"{lab}.ipynb", 4) for folder in ("solutions", "labs"))
        return cls(lab, solution, release, answers.RIGHT, answers.WRONG)

    @property
    def exercises(self) -> list[str]:
        return list(parts(self.release).answers)

    def answers(self, exercise: str) -> dict[str, list[str]]:
        """The sources there are for an exercise, by kind."""
        return {
            "ours": [parts(self.solution).answers[exercise]],
            "right": list(self.right.get(exercise, {}).values()),
            "wrong": [source for source, _ in self.wrong.get(exercise, {}).values()],
            "stub": [parts(self.release).answers[exercise]],
        }

    def mixed(self, students: int, seed: int = 0) -> dict[str, Sources]:
        """Answers of so many students, no two the same: the solution, the stubs, then mixtures."""
        rng = np.random.default_rng(seed)
        offered = {exercise: self.answers(exercise) for exercise in self.exercises}
        made = [{exercise: offered[exercise][kind][0] for exercise in offered} for kind in ("ours", "stub")]
        while len(made) < students:
            one = {}
            for exercise, kinds in offered.items():
                there = [kind for kind in SHARES if kinds[kind]]
                shares = np.array([SHARES[kind] for kind in there])
                kind = str(rng.choice(there, p=shares / shares.sum()))
                one[exercise] = kinds[kind][int(rng.integers(len(kinds[kind])))]
            if one not in made:
                made.append(one)
        return {f"student-{number:04d}": one for number, one in enumerate(made[:students], 1)}

    def notebook(self, sources: Sources) -> NotebookNode:
        """The lab as a student hands it in."""
        notebook = copy.deepcopy(self.release)
        for cell in notebook.cells:
            mark = cell.metadata.get("nbgrader", {})
            if mark.get("solution") and mark["grade_id"] in sources:
                cell.source = sources[mark["grade_id"]]
        return notebook

    def hand_in(self, folder: Path, students: Mapping[str, Sources]) -> None:
        """Write the notebooks as nbgrader lays them out: folder/STUDENT/LAB/LAB.ipynb."""
        for student, sources in students.items():
            path = folder / student / self.lab / f"{self.lab}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(self.notebook(sources), path)
