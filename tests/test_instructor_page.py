"""The commands of docs/instructor.md, run in their order on a small class, from a copy of the course."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from labkit.build import mark
from labkit.grading.isolation import strongest

from .notebooks import ROOT

LAB = "lab01_save_once"
PAGE = (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


def handed_in(change: dict[str, str]) -> bytes:
    """The released lab with answers put in."""
    notebook = nbformat.read(ROOT / "labs" / LAB / f"{LAB}.ipynb", as_version=4)
    for cell in notebook.cells:
        if mark(cell).get("solution"):
            cell.source = change.get(mark(cell)["grade_id"], cell.source)
    return nbformat.writes(notebook).encode()


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course with four submissions and a roster, after all commands of the page."""
    course = tmp_path_factory.mktemp("instructor") / "the course"
    for name in ("labs", "solutions", "src"):
        shutil.copytree(ROOT / name, course / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "environment.yml", course)
    solution = nbformat.read(ROOT / "solutions" / LAB / f"{LAB}.ipynb", as_version=4)
    answers = {mark(cell)["grade_id"]: cell.source for cell in solution.cells if mark(cell).get("solution")}
    loop = {"share": "def load_shared(folder):\n    raise SystemExit"}
    students = {"ada": handed_in(answers), "ben": handed_in({}), "eva": handed_in({**answers, **loop}), "kim": b"{"}
    for student, content in students.items():
        folder = course / "submitted" / student / LAB
        folder.mkdir(parents=True)
        (folder / f"{LAB}.ipynb").write_bytes(content)
    roster = "student,Username,ID,SIS User ID,SIS Login ID,Section\n"
    roster += "".join(f"{name},{name}@example.org,{n},,{name},A\n" for n, name in enumerate(students, 1))
    (course / "roster.csv").write_text(roster, encoding="utf-8")
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == ".venv/bin/labkit", command
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", *arguments], cwd=course, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if arguments[0] == "grade":
            assert done.stdout.startswith(f"isolation: {strongest()[0]}")
    return course


def test_the_page_shows_the_whole_way() -> None:
    assert [shlex.split(command)[1] for command in COMMANDS] == ["build", "grade", "export", "export"]


def test_the_gradebook_has_everybody(course: Path) -> None:
    rows = {
        row["student"]: row
        for row in csv.DictReader((course / "graded" / "gradebook.csv").open(encoding="utf-8-sig", newline=""))
    }
    assert list(rows) == ["ada", "ben", "eva", "kim"]
    full = float(rows["ada"]["points"])
    assert float(rows["ada"]["score"]) == full and float(rows["ben"]["score"]) == 0
    assert 0 < float(rows["eva"]["score"]) < full
    assert rows["kim"]["problem"]


def test_each_student_gets_a_page_and_the_class_one(course: Path) -> None:
    pages = sorted(path.stem for path in (course / "graded" / "feedback").glob("*.html"))
    assert pages == ["ada", "ben", "eva", "kim"]
    assert "SystemExit" in (course / "graded" / "feedback" / "eva.html").read_text(encoding="utf-8")
    assert (course / "graded" / "class.html").stat().st_size > 10_000


def test_moodle_and_canvas_get_their_names(course: Path) -> None:
    assert "ada@example.org" in (course / "moodle.csv").read_text(encoding="utf-8")
    canvas = (course / "canvas.csv").read_text(encoding="utf-8")
    assert canvas.startswith("Student,ID,SIS User ID,SIS Login ID,Section,")


def test_a_second_run_grades_nothing(course: Path) -> None:
    kept = json.loads((course / "graded" / "gradebook.json").read_text(encoding="utf-8"))
    cache = course / "graded" / "cache"
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    command = [sys.executable, "-m", "labkit.cli", "grade", LAB, "submitted", "--out", "graded"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=True)
    assert done.stderr == ""  # no bar: there was nothing to do
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    assert json.loads((course / "graded" / "gradebook.json").read_text(encoding="utf-8")) == kept


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lab99_none", "submitted"], "there is no lab lab99_none; there are lab01_save_once"),
        ([LAB, "nowhere"], "nowhere"),
        ([LAB, "empty"], "holds no submission"),
    ],
    ids=["no such lab", "no such folder", "no submission"],
)
def test_what_cannot_be_graded_is_told_in_one_line(course: Path, arguments: list[str], told: str) -> None:
    (course / "empty").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "labkit.cli", "grade", *arguments, "--out", "elsewhere"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and told in done.stderr and len(done.stderr.splitlines()) == 1
