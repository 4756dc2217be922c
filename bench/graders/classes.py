"""The classes that are graded: one of a lab of the course, one of the light lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from bench.light_lab import answers
from labkit.build import release
from tests.classroom import Class, Sources

LIGHT = "light_lab"
FOLDER = Path(__file__).resolve().parents[1] / LIGHT


@dataclass(frozen=True)
class Graded(Class):
    """A class and the module that holds its lab's checks."""

    checks: str = ""


def class_of(lab: str) -> Graded:
    if lab != LIGHT:
        found = Class.of(lab)
        return Graded(lab, found.solution, found.release, found.right, found.wrong, f"checks.{lab}")
    solution = nbformat.read(FOLDER / f"{LIGHT}.ipynb", 4)
    return Graded(LIGHT, solution, release(solution), answers.RIGHT, answers.WRONG, f"bench.{LIGHT}.checks")


def varied(students: Mapping[str, Sources], count: int) -> tuple[dict[str, Sources], dict[str, str]]:
    """So many students with the answers of a few, each with a line of its own, so that no two are the same.

    Gives their answers, and for each the one of the few whose answers they are.
    """
    names, made, origin = list(students), {}, {}
    for number in range(count):
        few, student = names[number % len(names)], f"student-{number:05d}"
        made[student] = {exercise: f"{source}\n# {number}\n" for exercise, source in students[few].items()}
        origin[student] = few
    return made, origin
