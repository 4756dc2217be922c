"""Tries labkit.grading.exports.into_nbgrader on the real nbgrader; no test, since it needs nbgrader.

    python tests/nbgrader_import_check.py [LAB]

runs in an environment that has nbgrader and what labkit needs. nbgrader generates the assignment from the
solution; scores of three submissions are imported, read back through nbgrader's API and its export, and imported
again; a grade given by hand stays. It ends with 0, or with 1 and the first thing that is not so.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
# nbgrader calls alembic by its name, also where the environment is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

from nbgrader.api import Gradebook  # noqa: E402

from labkit.exercise import Report  # noqa: E402
from labkit.grading.exports import into_nbgrader  # noqa: E402
from labkit.grading.model import Graded  # noqa: E402
from labkit.progress import CHECK, offered  # noqa: E402


def nbgrader(course: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={course}"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"nbgrader {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def submissions(lab: str) -> list[Graded]:
    """One with every point, one with a fraction of each, one that could not be read."""
    points = offered(ROOT)[lab]
    every = [Report(name, name, "correct", worth, worth) for name, worth in points.items()]
    part = [replace(one, outcome="incorrect", score=round(one.points / 3, 2)) for one in every]
    common = {"lab": lab, "sha256": "0" * 64, "isolation": "process", "seconds": 1.0}
    return [
        Graded("ada", origin="ada.ipynb", reports=tuple(every), **common),
        Graded("émile", origin="émile.ipynb", reports=tuple(part), **common),
        Graded("zoe", origin="zoe.ipynb", reports=(), problem="This is not a notebook.", **common),
    ]


def expect(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise AssertionError(f"{what}: {got!r}, it should be {wanted!r}")


def scores(url: str, lab: str, student: str) -> dict[str, float]:
    with Gradebook(url) as gradebook:
        grades = gradebook.find_submission_notebook(lab, lab, student).grades
        return {grade.name: grade.score for grade in grades}


def refused(url: str, graded: list[Graded], wanted: str) -> None:
    try:
        into_nbgrader(graded, url)
    except ValueError as error:
        expect(wanted in str(error), True, f"{wanted!r} in the message, {error}")
    else:
        raise AssertionError(f"taken, though: {wanted}")
    if (Path(url.removeprefix("sqlite:///"))).exists():
        with Gradebook(url) as gradebook:
            expect(len(gradebook.students), 0, "students after a refusal")


def check(lab: str, course: Path) -> None:
    url = f"sqlite:///{course / 'gradebook.db'}"
    graded = submissions(lab)
    refused(url, graded, "no gradebook at")
    Gradebook(url).close()
    refused(url, graded, "generate_assignment")
    shutil.copytree(ROOT / "solutions" / lab, course / "source" / lab)
    nbgrader(course, "generate_assignment", lab)
    first, *rest = graded[0].reports
    refused(url, [replace(graded[0], reports=(replace(first, points=first.points + 1), *rest))], "another version")
    for time in ("the first", "the second"):
        expect(into_nbgrader(graded, url), 3, f"submissions written {time} time")
        for one in graded:
            there = scores(url, lab, one.student)
            wanted = {CHECK + report.exercise: report.score for report in one.reports} or dict.fromkeys(there, 0.0)
            expect(there, wanted, f"scores of {one.student} after {time} time")
    cell = CHECK + graded[1].reports[0].exercise
    with Gradebook(url) as gradebook:
        grade = gradebook.find_grade(cell, lab, lab, "émile")
        grade.manual_score = 1.25
        expect(grade.needs_manual_grade, False, "needs a manual grade")
        gradebook.db.commit()
    into_nbgrader(graded, url)
    expect(scores(url, lab, "émile")[cell], 1.25, "the grade given by hand after another import")
    nbgrader(course, "export", "--to", str(course / "grades.csv"))
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        exported = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    by_hand = graded[1].score - graded[1].reports[0].score + 1.25
    wanted = {"ada": graded[0].score, "émile": round(by_hand, 2), "zoe": 0.0}
    expect({name: round(score, 2) for name, score in exported.items()}, wanted, "nbgrader export")


def main(lab: str) -> int:
    with tempfile.TemporaryDirectory(prefix="nbgrader-", ignore_cleanup_errors=True) as folder:
        try:
            check(lab, Path(folder).resolve())
        except AssertionError as wrong:
            print(wrong, file=sys.stderr)
            return 1
    print(f"{lab}: nbgrader's gradebook takes the scores")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["lab01_save_once"])))
