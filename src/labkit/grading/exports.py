"""Scores for the systems that keep a course's grades: Moodle, Canvas, nbgrader.

A roster says who is who. It is a CSV with a column that holds the student as the submission names
it (`student`, or the one given as `key`) and the columns of the system, under the names that the
system gives them; others are passed over, and upper and lower case do not matter:

    Moodle   Username, Email address, ID number      (also: email, idnumber)
    Canvas   Student, ID, SIS User ID, SIS Login ID, Section

So the file that Canvas' gradebook exports is a roster as it stands, with `key="SIS Login ID"` or `key="ID"`.
Without a roster the student's name in the submission is taken for the identity.

Nothing is lost: who cannot be written is listed in `left_out` with the reason. These files are read
by programs, hence without a byte order mark, but people open them too: a text that a spreadsheet would take
for a formula is guarded as in gradebook.csv, and an identity that would change by that is left out.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.grading.model import Graded
from labkit.grading.page import number
from labkit.grading.results import cell, csv_text, in_order, points_of
from labkit.progress import CHECK

MOODLE = ("Username", "Email address", "ID number")
CANVAS = ("ID", "SIS User ID", "SIS Login ID")
# Canvas takes a column whose name holds one of these for its own sums and passes over it.
CANVAS_OWN = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
ALSO = {"email": "email address", "e-mail": "email address", "idnumber": "id number", "user name": "username"}

Roster = Mapping[str, Mapping[str, str]]  # student -> name of a column, in lower case -> text


@dataclass(frozen=True)
class LeftOut:
    """A submission that an export does not hold, and why."""

    student: str
    reason: str


@dataclass(frozen=True)
class Export:
    """The text of a CSV to upload, and who is missing from it."""

    text: str
    left_out: tuple[LeftOut, ...]


def read_roster(path: Path, key: str = "student") -> Roster:
    """Read a roster; commas, semicolons and tabs are understood, with or without a byte order mark.

    Raises
    ------
    ValueError
        The file has no column `key`, or it names a student twice.
    """
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [_column(name) for name in next(lines, [])]
    if _column(key) not in names:
        raise ValueError(f"{path.name} has no column {key!r}; it has {', '.join(filter(None, names)) or 'none'}")
    roster: dict[str, dict[str, str]] = {}
    for line in lines:
        row = {name: text.strip() for name, text in zip(names, line, strict=False)}
        student = _known(row.get(_column(key), ""))
        if not student:  # Canvas' rows of points and of posting policies name nobody
            continue
        if student in roster:
            raise ValueError(f"{path.name} names {student} twice (line {lines.line_num})")
        roster[student] = row
    return roster


def moodle_csv(
    graded: Iterable[Graded], roster: Roster | None = None, *, identify: str = "Username", item: str | None = None
) -> Export:
    """The CSV for Moodle: Grades, Import, CSV file.

    There, "Map from" is the column `identify` and "Map to" the field of the same name; the column
    `item` (the lab's name, if not given) is mapped to a grade item. Moodle aborts the whole import when it does
    not know one student, so give a roster if submissions may come from outside the course, and
    refuses scores above 100 unless its settings allow them.

    Parameters
    ----------
    identify
        "Username", "Email address" or "ID number".
    """
    identify = _one_of(identify, MOODLE)
    rows = in_order(graded)

    def identity(row: Mapping[str, str]) -> list[str]:
        return [row.get(_column(identify), "")]

    lines, left_out = _lines(rows, roster, (identify,), identity)
    return Export(csv_text([[cell(identify), cell(item or _lab(rows))], *lines]), left_out)


def canvas_csv(
    graded: Iterable[Graded],
    roster: Roster | None = None,
    *,
    identify: str = "SIS Login ID",
    assignment: str | None = None,
) -> Export:
    """The CSV for Canvas: Grades, Import.

    Canvas finds a student by ID, then by SIS User ID, SIS Login ID and name, and asks who it is if
    none fits. A roster fills all of them; without one the student stands in the column
    `identify` ("ID", "SIS User ID" or "SIS Login ID").

    Parameters
    ----------
    assignment
        The column. "Lab 1 (1234)", as in Canvas' own export, is the assignment with that number; another name is
        that of an assignment, or of a new one. The lab's name, if not given.
    """
    identify = _one_of(identify, CANVAS)
    rows = in_order(graded)
    column = cell(assignment or _lab(rows))
    if CANVAS_OWN.search(column):
        raise ValueError(f"Canvas passes over a column named {column!r}, as one of its own; name the assignment else")

    def identity(row: Mapping[str, str]) -> list[str]:
        student = row.get("student", "") or row[""]
        return [student, *(row.get(_column(name), "") for name in CANVAS), row.get("section", "")]

    lines, left_out = _lines(rows, roster, (identify,) if roster is None else CANVAS, identity)
    points = number(max(points_of(rows).values(), default=0.0))
    head = ["Student", *CANVAS, "Section", column]
    return Export(csv_text([head, ["    Points Possible", "", "", "", "", points], *lines]), left_out)


def into_nbgrader(graded: Iterable[Graded], db_url: str, course_id: str = "") -> int:
    """Write the scores into nbgrader's gradebook as its autograder would; gives the number of submissions.

    Each exercise's score becomes the automatic score of its check cell; what a person gave by hand
    and late penalties stay. Doing it again changes nothing. A submission without reports scores 0.
    `nbgrader export` has the scores at once. Formgrader calls a submission autograded only if its notebook
    lies in `autograded/`, with the time stamp of the one in `submitted/`.

    Parameters
    ----------
    db_url
        As in nbgrader: "sqlite:///gradebook.db".

    Raises
    ------
    ModuleNotFoundError
        nbgrader is not installed; the message says what to install.
    ValueError
        The gradebook does not know the lab, or gives other points for an exercise. Nothing is written then.
    """
    try:
        from nbgrader.api import Gradebook, MissingEntry
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "nbgrader is not installed here. Into the environment that runs this: pip install nbgrader==0.9.6"
        ) from missing
    rows = in_order(graded)
    file = db_url.removeprefix("sqlite:///")
    if file != db_url and not Path(file).exists():  # nbgrader would make an empty one
        raise ValueError(f"There is no gradebook at {file}. Is it the db_url of nbgrader's configuration?")
    with Gradebook(db_url, course_id) as gradebook:
        for lab in sorted({one.lab for one in rows}):
            try:
                cells = gradebook.find_notebook(lab, lab).grade_cells
            except MissingEntry:
                raise ValueError(
                    f"nbgrader's gradebook has no assignment {lab}. Run `nbgrader generate_assignment {lab}` first."
                ) from None
            _agree({one.name: one.max_score for one in cells}, [one for one in rows if one.lab == lab])
        for one in rows:
            _write(gradebook, one)
    return len(rows)


def _agree(there: Mapping[str, float], rows: Iterable[Graded]) -> None:
    """Raise ValueError unless each report has its check cell in the gradebook, with the same points."""
    for report in (report for one in rows for report in one.reports):
        points = there.get(CHECK + report.exercise)
        if points != report.points:
            gives = "has no such cell" if points is None else f"gives {number(points)} points"
            raise ValueError(
                f"nbgrader's gradebook {gives} for {CHECK}{report.exercise}, the check {number(report.points)}. "
                "Was the assignment generated from another version of the lab?"
            )


def _write(gradebook: Any, one: Graded) -> None:
    gradebook.update_or_create_student(one.student)
    gradebook.update_or_create_submission(one.lab, one.student)
    scores = {CHECK + report.exercise: report.score for report in one.reports}
    for grade in gradebook.find_submission_notebook(one.lab, one.lab, one.student).grades:
        if grade.name.startswith(CHECK):
            grade.auto_score = scores.get(grade.name, 0.0)
            grade.needs_manual_grade = False
    gradebook.db.commit()


def _lines(
    rows: Sequence[Graded],
    roster: Roster | None,
    keys: Sequence[str],
    identity: Callable[[Mapping[str, str]], list[str]],
) -> tuple[list[list[str]], tuple[LeftOut, ...]]:
    """The rows of a CSV, identity then score, and who is left out. `keys`: the columns a student is found by."""
    found: list[tuple[Graded, Mapping[str, str]]] = []
    left_out = []
    for one in rows:
        student = _known(one.student)
        known = {_column(keys[0]): student} if roster is None else roster.get(student)
        if known is None:
            left_out.append(LeftOut(one.student, "not in the roster"))
        elif not any(known.get(_column(key)) for key in keys):
            left_out.append(LeftOut(one.student, f"the roster gives no {' or '.join(keys)}"))
        elif any(cell(known.get(_column(key), "")) != known.get(_column(key), "") for key in keys):
            left_out.append(
                LeftOut(one.student, "the identity would be a formula in a spreadsheet, or is no plain text")
            )
        else:
            found.append((one, {**known, "": student}))
    lines = []
    identities = [tuple(known.get(_column(key), "") for key in keys) for _, known in found]
    times = Counter(identities)
    for (one, known), who in zip(found, identities, strict=True):
        if times[who] > 1:
            left_out.append(LeftOut(one.student, f"{times[who]} submissions are of {' '.join(filter(None, who))}"))
        else:
            lines.append([*map(cell, identity(known)), number(one.score)])
    return lines, tuple(sorted(left_out, key=lambda left: left.student))


def _lab(rows: Sequence[Graded]) -> str:
    labs = sorted({one.lab for one in rows})
    if len(labs) > 1:
        raise ValueError(f"These are submissions of several labs ({', '.join(labs)}); export one after another.")
    return labs[0] if labs else "score"


def _one_of(name: str, names: Sequence[str]) -> str:
    for known in names:
        if _column(name) == _column(known):
            return known
    raise ValueError(f"{name!r} identifies nobody there; choose one of {', '.join(names)}")


def _column(name: str) -> str:
    lower = " ".join(name.split()).lower()
    return ALSO.get(lower, lower)


def _known(student: str) -> str:
    # macOS writes é as two characters into the name of a file, a roster as one.
    return unicodedata.normalize("NFC", student.strip())
