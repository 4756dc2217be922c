"""What comes out of grading: data, gradebook, pages, exports. The results here are made, not graded."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from labkit.exercise import CaseReport, Report
from labkit.grading import exports, results
from labkit.grading.classpage import class_html
from labkit.grading.exports import canvas_csv, into_nbgrader, moodle_csv, read_roster
from labkit.grading.feedback import feedback_html
from labkit.grading.model import Graded
from labkit.grading.page import POLICY

PASSED = CaseReport("the file is there", "passed")
FAILED = CaseReport(
    "a copy gives the same", "failed", 2.0, "These are `other` films.", "recommend([1])", "[7, 3]", "[3, 7]"
)
RIGHT = Report("save", "Save it", "correct", 2.0, 2.0, cases=[PASSED, replace(FAILED, state="passed")])
WRONG = Report("save", "Save it", "incorrect", 0.67, 2.0, hint="(1 of 3) Ask what is copied.", cases=[PASSED, FAILED])
STUB = Report("share", "Share it", "not attempted", 0.0, 3.0, message="Replace `raise NotImplementedError()`.")
SHARED = Report(
    "share", "Share it", "correct", 3.0, 3.0, cases=[PASSED, CaseReport("no net", "not tried", 0.0, "none")]
)

ADA = Graded("ada", "lab", "ada_lab.ipynb", "a1" * 32, "namespaces", 1.25, (RIGHT, SHARED))
BEA = Graded("bea", "lab", "bea_lab.ipynb", "b2" * 32, "namespaces", 0.5, (WRONG, STUB), notes=("Two `save` cells.",))
EVA = Graded("Éva 李", "lab", "Éva/lab.ipynb", "c3" * 32, "process", 2.0, (WRONG, SHARED))
LOST = Graded("dan", "lab", "dan_lab.ipynb", "", "", 0.0, (), problem="The file is not JSON.")
CLASS = [ADA, BEA, EVA, LOST]

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n@x", "＝1", '=cmd|" /C calc"!A0', "-2+3"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def many(count: int) -> list[Graded]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        case = replace(FAILED, message=f"message {rng.integers(90)}", got=f"value {rng.integers(500)}")
        reports = (replace(WRONG, cases=[PASSED, case]) if rng.random() < 0.6 else RIGHT, SHARED)
        made.append(replace(ADA, student=f"s{number:05d}", reports=reports, seconds=float(rng.random())))
    return made


# --- results


@pytest.mark.parametrize(
    "graded", [*CLASS, replace(ADA, student="a\udcff", notes=("", "\x00"))], ids=lambda g: g.sha256
)
def test_json_gives_the_result_back(graded: Graded) -> None:
    kept = results.to_json(graded)
    written = json.dumps(kept, allow_nan=False)
    assert json.loads(written) == kept, "JSON changes it on the way"
    back = results.from_json(json.loads(written))
    assert back == graded
    assert asdict(back) == asdict(graded)
    assert type(back.reports) is tuple and all(type(report) is Report for report in back.reports)


@pytest.mark.parametrize(
    "spoil", [{"reports": None}, {"seconds": "soon"}, {"reports": [{"exercise": "save"}]}, {"student": 3}]
)
def test_a_spoilt_result_is_refused(spoil: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(spoil))):
        results.from_json(results.to_json(ADA) | spoil)


def test_gradebook_has_a_row_for_each_submission(tmp_path: Path) -> None:
    book, data = results.write_gradebook(CLASS, tmp_path / "new" / "out")
    assert book.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel needs the mark to read UTF-8"
    listed = table(book)
    assert [row["student"] for row in listed] == ["ada", "bea", "dan", "Éva 李"]
    assert listed[1] == {
        "student": "bea",
        "lab": "lab",
        "score": "0.67",
        "points": "5",
        "save score": "0.67",
        "save outcome": "incorrect",
        "share score": "0",
        "share outcome": "not attempted",
        "isolation": "namespaces",
        "sha256": "b2" * 32,
        "seconds": "0.500",
        "problem": "",
        "notes": "Two `save` cells.",
        "origin": "bea_lab.ipynb",
    }
    lost = listed[2]
    assert (lost["score"], lost["points"], lost["save score"], lost["save outcome"]) == ("0", "5", "", "")
    assert lost["problem"] == "The file is not JSON."
    frame = pd.read_csv(book, encoding="utf-8-sig")
    assert frame["score"].tolist() == [5.0, 0.67, 0.0, 3.67]
    kept = json.loads(data.read_text(encoding="utf-8"))["submissions"]
    assert [results.from_json(row) for row in kept] == results.in_order(CLASS)
    assert [(row["score"], row["points"]) for row in kept] == [(5, 5), (0.67, 5), (0, 5), (3.67, 5)]
    assert sorted(path.name for path in book.parent.iterdir()) == ["gradebook.csv", "gradebook.json"]


def test_a_spreadsheet_runs_nothing_of_the_gradebook(tmp_path: Path) -> None:
    poisoned = [
        replace(ADA, student=text, lab=text, origin=text, isolation=text, sha256=text, problem=text, notes=(text,))
        for text in FORMULAS
    ]
    names = replace(ADA, reports=(replace(RIGHT, exercise="=1+1"), replace(RIGHT, exercise="@x")))
    book, _ = results.write_gradebook([*poisoned, names], tmp_path)
    cells = rows(book.read_text(encoding="utf-8-sig"))
    assert len(cells) == len(FORMULAS) + 2
    guarded = 0
    for text in (text for row in cells for text in row):
        assert not re.match(r"\s*[=+\-@＝＋－＠]", text), text
        assert not re.search(r"[\t\r\n\x00]", text), text
        guarded += text.startswith("'")
    assert guarded == 7 * len(FORMULAS) + 4


def test_files_are_the_same_whatever_the_order(tmp_path: Path) -> None:
    class_ = [*CLASS, replace(ADA, origin="another/ada_lab.ipynb")]
    first = [path.read_bytes() for path in results.write_gradebook(class_, tmp_path / "1")]
    second = [path.read_bytes() for path in results.write_gradebook(class_[::-1], tmp_path / "2")]
    assert first == second
    assert class_html(class_) == class_html(class_[::-1])
    assert moodle_csv(class_) == moodle_csv(class_[::-1])
    assert canvas_csv(class_) == canvas_csv(class_[::-1])


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.write_whole(tmp_path / "book", b"old")

    def locked(*_: object) -> None:
        raise PermissionError("locked")

    with monkeypatch.context() as patch, pytest.raises(PermissionError) as caught:
        patch.setattr(Path, "replace", locked)
        results.write_whole(tmp_path / "book", b"new")
    assert "open in another program" in caught.value.__notes__[0]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("book", b"old")]


# --- pages


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def self_contained(html: str) -> Page:
    found = Page(html)
    policy = [attrs["content"] for tag, attrs in found.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [POLICY]
    assert not found.tags & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    for tag, attrs in found.elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "action", "data", "srcset"}:
                assert re.match(r"#exercise-\d+$|data:image/svg\+xml;base64,", value or ""), (tag, value)
            if name == "style":
                assert "url(" not in (value or "")
    html.encode("utf-8")
    return found


def test_feedback_shows_what_a_student_needs() -> None:
    text = self_contained(feedback_html(BEA)).text
    for wanted in (
        "bea",
        "0.67 of 5 points",
        "Save it",
        "incorrect",
        "0.67 of 2",
        "✓ the file is there",
        "✗ a copy gives the same",
        "These are other films.",
        "recommend([1])",
        "[7, 3]",
        "[3, 7]",
        "Ask what is copied.",
        "Share it",
        "not attempted",
        "Two save cells.",
        "isolation: namespaces",
        "b2" * 32,
        "bea_lab.ipynb",
    ):
        assert wanted in text, wanted


def test_feedback_of_a_submission_with_a_problem() -> None:
    text = self_contained(feedback_html(LOST)).text
    assert "The file is not JSON." in text
    assert "Nothing was graded" in text and "nothing was run" in text


TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</style></title><svg onload=alert(1)>",
    "`<b onclick=alert(1)>`",
    "' onmouseover='alert(1)",
    "<!-- ",
    "\u202egnp\x00\x1b[2J\ud800",
    "&lt;script&gt;",
]


def spoilt(value: Any, text: str) -> Any:
    """The same result with this text in every field that holds one, but for the outcomes."""
    if is_dataclass(value):
        kept = {"outcome", "state"}
        return replace(
            value, **{f.name: spoilt(getattr(value, f.name), text) for f in fields(value) if f.name not in kept}
        )
    if isinstance(value, list | tuple):
        return type(value)(spoilt(part, text) for part in value)
    return text if isinstance(value, str) else value


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_becomes_html(text: str) -> None:
    bea = replace(BEA, problem="A problem.")
    poisoned = spoilt(bea, text)
    for make in (feedback_html, lambda one: class_html([one])):
        harmless, found = self_contained(make(bea)), self_contained(make(poisoned))
        attributes = {(tag, name) for tag, attrs in harmless.elements for name in attrs}
        assert {(tag, name) for tag, attrs in found.elements for name in attrs} <= attributes
        assert found.tags <= harmless.tags
        shown = re.sub(r"[\x00-\x1f\u202e\ud800]", "�", text).replace("`", "")
        assert shown in found.text


def test_a_page_is_bounded_whatever_came_back() -> None:
    huge = "x" * 1_000_000
    cases = [replace(FAILED, name=f"{n}", got=huge, message=huge, tried=huge, expected=huge) for n in range(500)]
    bad = replace(BEA, student=huge, notes=(huge,) * 1_000, problem=huge, reports=(replace(WRONG, cases=cases),))
    assert len(feedback_html(bad)) < 1_200_000
    assert len(class_html([bad])) < 500_000


def titles(html: str) -> list[str]:
    return [attrs["alt"] or "" for tag, attrs in Page(html).elements if tag == "img"]


def pictures(html: str) -> list[str]:
    found = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return [base64.b64decode(data).decode("utf-8") for data in found]


def test_class_page_says_what_was_found() -> None:
    html = class_html(CLASS)
    text = self_contained(html).text
    assert "4 submissions, 1 of them not graded" in text
    assert "namespaces (2), process (1)" in text
    assert titles(html) == [
        "Half of the submissions have 3.67 or more of 5 points",
        "Hardest: “Save it”, where the class got 56% of the points",
        "“Save it” has the most incorrect answers: 2 of 3",
        "Half of the submissions took 1.2 s or less to grade, the slowest 2 s",
    ]
    # the list of wrong answers: how many, which, what was said, what came back, who
    assert re.search(r"2\s*Save it a copy gives the same\s*These are other films\.\s*\[7, 3\]\s*bea, Éva 李", text)
    assert re.search(r"dan\s*The file is not JSON\.\s*dan_lab\.ipynb", text)
    for picture in pictures(html):
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        assert "<script" not in picture and 'href="http' not in picture


def test_wrong_answers_are_grouped_by_message_and_counted_by_student() -> None:
    other = replace(FAILED, message="Nothing came back.", got="None")
    twice = replace(WRONG, cases=[FAILED, replace(FAILED, name="another case", got="[9]")])
    class_ = [replace(ADA, student=f"s{n}", reports=(twice,)) for n in range(7)]
    class_ += [replace(ADA, student="t", reports=(replace(WRONG, cases=[other]),))]
    text = Page(class_html(class_)).text
    assert re.search(
        r"7\s*Save it a copy gives the same; another case\s*These are other films\.\s*\[7, 3\]\s*"
        r"s0, s1, s2, s3, s4 and 2 more",
        text,
    )
    assert text.index("These are other films.") < text.index("Nothing came back.")


def test_pages_and_files_of_nobody(tmp_path: Path) -> None:
    assert "There is no submission." in self_contained(class_html([])).text
    book, data = results.write_gradebook([], tmp_path)
    assert table(book) == []
    assert json.loads(data.read_text(encoding="utf-8")) == {"submissions": []}
    assert rows(moodle_csv([]).text) == [["Username", "score"]]
    assert len(rows(canvas_csv([]).text)) == 2


@pytest.mark.parametrize("one", CLASS, ids=lambda one: one.student)
def test_a_class_of_one(one: Graded) -> None:
    html = class_html([one])
    assert "1 submission" in self_contained(html).text
    assert len(titles(html)) == (4 if one.reports else 0)


def test_a_lab_without_points_and_a_class_that_is_all_right() -> None:
    free = replace(ADA, seconds=0.0, reports=(replace(RIGHT, points=0.0, score=0.0),))
    assert len(titles(class_html([free]))) == 2
    found = titles(class_html([ADA, replace(ADA, student="b")]))
    assert found[:3] == [
        "All 2 submissions have 5 of 5 points",
        "The class got all points of every exercise",
        "No answer is incorrect",
    ]


def test_three_thousand_submissions(tmp_path: Path) -> None:
    class_ = many(3_000)
    html = class_html(class_)
    assert "3,000 submissions" in self_contained(html).text
    assert len(html) < 700_000, "the page must not grow with the class"
    book, data = results.write_gradebook(class_, tmp_path)
    assert len(table(book)) == len(json.loads(data.read_text(encoding="utf-8"))["submissions"]) == 3_000
    assert len(rows(canvas_csv(class_).text)) == 3_002
    assert len(rows(moodle_csv(class_).text)) == 3_001


# --- exports


@pytest.fixture
def roster(tmp_path: Path) -> Iterator[Callable[..., exports.Roster]]:
    def write(text: str, encoding: str = "utf-8", **more: str) -> exports.Roster:
        path = tmp_path / "roster.csv"
        path.write_text(text, encoding=encoding)
        return read_roster(path, **more)

    yield write


def test_moodle_takes_an_identity_and_a_grade(roster: Callable[..., exports.Roster]) -> None:
    plain = moodle_csv(CLASS)
    assert not plain.text.startswith("\ufeff")
    assert rows(plain.text) == [["Username", "lab"], ["ada", "5"], ["bea", "0.67"], ["dan", "0"], ["Éva 李", "3.67"]]
    known = roster("Student,First name,Email,ID number\nada,Ada,ada@example.org,007\nbea,Bea,bea@example.org,\n")
    by_email = moodle_csv(CLASS, known, identify="email address", item="Lab 1")
    assert rows(by_email.text) == [
        ["Email address", "Lab 1"],
        ["ada@example.org", "5"],
        ["bea@example.org", "0.67"],
    ]
    assert [(left.student, left.reason) for left in by_email.left_out] == [
        ("dan", "not in the roster"),
        ("Éva 李", "not in the roster"),
    ]
    by_number = moodle_csv([ADA, BEA], known, identify="ID number")
    assert rows(by_number.text)[1:] == [["007", "5"]]
    assert by_number.left_out == (exports.LeftOut("bea", "the roster gives no ID number"),)
    with pytest.raises(ValueError, match="Username, Email address, ID number"):
        moodle_csv(CLASS, identify="surname")


def test_canvas_takes_its_own_export_as_roster(roster: Callable[..., exports.Roster]) -> None:
    exported = (
        "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (77)\n"
        "    Points Possible,,,,,5\n"
        '"Lovelace, Ada",101,S1,ada,A,\n'
        "=Bea,102,S2,bea,A,3\n"
        "Nobody,103,,carl,A,\n"
    )
    done = canvas_csv(CLASS, roster(exported, "utf-8-sig", key="SIS Login ID"), assignment="Lab 1 (77)")
    assert rows(done.text) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lab 1 (77)"],
        ["    Points Possible", "", "", "", "", "5"],
        ["Lovelace, Ada", "101", "S1", "ada", "A", "5"],
        ["'=Bea", "102", "S2", "bea", "A", "0.67"],
    ]
    assert {left.student for left in done.left_out} == {"dan", "Éva 李"}


def test_canvas_without_a_roster() -> None:
    done = rows(canvas_csv([ADA], identify="ID").text)
    assert done[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "lab"]
    assert done[1] == ["    Points Possible", "", "", "", "", "5"]
    assert done[2] == ["ada", "ada", "", "", "", "5"]
    assert rows(canvas_csv([ADA]).text)[2] == ["ada", "", "", "ada", "", "5"]
    with pytest.raises(ValueError, match="as one of its own"):
        canvas_csv([ADA], assignment="Final Grade of lab 1")


@pytest.mark.parametrize("make", [moodle_csv, canvas_csv])
def test_nothing_is_lost_and_nothing_executes(
    make: Callable[..., exports.Export], roster: Callable[..., exports.Roster]
) -> None:
    class_ = [replace(ADA, student=text) for text in [*FORMULAS, "a\udcff", "", "good"]]
    done = make(class_)
    written = [row for row in rows(done.text)[1:] if row[0].strip() != "Points Possible"]
    assert [row[0] for row in written] == ["good"]
    assert sorted(left.student for left in done.left_out) == sorted(one.student for one in class_[:-1])
    twice = make([ADA, replace(ADA, origin="elsewhere", sha256=""), BEA])
    assert [row[0] for row in rows(twice.text)[-1:]] == ["bea"]
    assert [left.reason for left in twice.left_out] == ["2 submissions are of ada"] * 2
    same = roster("student,username,id\nada,x,9\nbea,x,9\n")
    assert [left.student for left in make([ADA, BEA], same).left_out] == ["ada", "bea"]
    with pytest.raises(ValueError, match="several labs"):
        make([ADA, replace(BEA, lab="other")])


def test_a_roster_is_read_as_people_write_it(roster: Callable[..., exports.Roster]) -> None:
    assert roster("STUDENT ; idnumber \n E\u0301va 李 ; 3\n", "utf-8-sig") == {
        "Éva 李": {"student": "E\u0301va 李", "id number": "3"}
    }
    by_tabs = roster("student\tUsername\nada\t a1 \n\t\nbea\n")
    assert by_tabs == {"ada": {"student": "ada", "username": "a1"}, "bea": {"student": "bea"}}
    with pytest.raises(ValueError, match="no column 'student'; it has username"):
        roster("Username\nada\n")
    with pytest.raises(ValueError, match=r"names ada twice \(line 3\)"):
        roster("student,username\nada,a\nada,b\n")
    with pytest.raises(ValueError, match="it has none"):
        roster("")


def test_without_nbgrader_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it, tests/nbgrader_import_check.py tries the real one."""
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install nbgrader==0\.9\.6"):
        into_nbgrader(CLASS, "sqlite:///nowhere.db")
