"""What comes out of grading, as data: one result as JSON, and the gradebook of a class.

    gradebook.json   every result whole, for programs
    gradebook.csv    a row for each submission, for people with a spreadsheet

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula and runs it, and a student
can put such a text into a name, a note or a message. So every text of a CSV goes through `cell`, which puts
an apostrophe before it: the spreadsheet then shows text. Numbers are left alone. gradebook.csv begins with
a byte order mark, without which Excel reads UTF-8 as something else; pandas and Python read past it with
`encoding="utf-8-sig"`.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from labkit.grading.model import Graded
from labkit.grading.page import fit, number

CELL = 2_000  # characters; Excel cuts at 32,767
FORMULA = tuple("=+-@＝＋－＠")  # Excel takes the full-width ones for the others
BESIDES = ("isolation", "sha256", "seconds", "problem", "notes", "origin")


@cache
def _adapter() -> TypeAdapter[Graded]:
    return TypeAdapter(Graded)


def to_json(graded: Graded) -> dict[str, Any]:
    """The result as plain values that JSON can hold; `from_json` gives it back, equal in every field."""
    return _adapter().dump_python(graded, mode="json")


def from_json(kept: dict[str, Any]) -> Graded:
    """The result that `to_json` wrote. Keys it does not know are passed over.

    Raises
    ------
    ValueError
        Something is missing or of another type; the message says where.
    """
    return _adapter().validate_python(kept)


def in_order(graded: Iterable[Graded]) -> list[Graded]:
    """By student, whatever order they were graded in."""
    return sorted(graded, key=lambda one: (one.student, one.lab, one.origin, one.sha256))


def points_of(graded: Iterable[Graded]) -> dict[str, float]:
    """The points each lab gives: those of its results that have reports, for all of them."""
    points: dict[str, float] = {}
    for one in graded:
        points[one.lab] = max(points.get(one.lab, 0.0), one.points)
    return points


def cell(text: str, limit: int = CELL) -> str:
    """The text as a CSV may hold it: on one line, bounded, and never a formula."""
    line = " ".join(fit(text, limit).split())
    return f"'{line}" if line.startswith(FORMULA) else line


def write_gradebook(graded: Sequence[Graded], folder: Path) -> tuple[Path, Path]:
    """Write gradebook.csv and gradebook.json into `folder`, which is made where it is missing.

    Rows are ordered by student, so that the same results give the same files whatever order they came
    in. Each file is written beside and moved over the old one: a crash leaves the old or the new.
    """
    rows = in_order(graded)
    folder.mkdir(parents=True, exist_ok=True)
    table, data = folder / "gradebook.csv", folder / "gradebook.json"
    write_whole(table, _table(rows).encode("utf-8-sig"))
    write_whole(data, _data(rows))
    return table, data


def write_whole(path: Path, content: bytes) -> None:
    """Write a file all or not at all."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, PermissionError):
            error.add_note(f"{path.name} could not be replaced. Is it open in another program?")
        raise


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV with the line ends of RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _table(rows: list[Graded]) -> str:
    exercises = list(dict.fromkeys(report.exercise for one in rows for report in one.reports))
    points = points_of(rows)
    head = ["student", "lab", "score", "points"]
    head += [cell(f"{name} {what}") for name in exercises for what in ("score", "outcome")]
    lines = [[*head, *BESIDES]]
    for one in rows:
        line = [cell(one.student), cell(one.lab), number(one.score), number(points[one.lab])]
        reports = {report.exercise: report for report in one.reports}
        for name in exercises:
            report = reports.get(name)
            line += [number(report.score), report.outcome] if report else ["", ""]
        line += [cell(one.isolation), cell(one.sha256), f"{one.seconds:.3f}"]
        lines.append([*line, cell(one.problem), cell(" ".join(one.notes)), cell(one.origin)])
    return csv_text(lines)


def _data(rows: list[Graded]) -> bytes:
    points = points_of(rows)
    kept = [to_json(one) | {"score": one.score, "points": points[one.lab]} for one in rows]
    text = json.dumps({"submissions": kept}, ensure_ascii=False, allow_nan=False, indent=1)
    # Half a character, which a file's name can hold, becomes its JSON escape and is read back as it was.
    return text.encode("utf-8", "backslashreplace") + b"\n"
