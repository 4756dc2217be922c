"""The answers taken out of a submission: by grade_id, never anything else, and never an exception."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit.build import release
from labkit.grading import rebuild
from labkit.grading.rebuild import answers, rebuilt

DOUBLE = "def double(x):\n    return 2 * x"
FIRST, SECOND = "def triple(x):\n    return 3 * x", "def thrice(x):\n    return triple(x)"
TRIPLE = f"{FIRST}\n\n\n{SECOND}"
ESSAY = "Because it doubles."
STUB = "raise NotImplementedError()"
JUPYTER_IDS = ["title", "c-setup", "c-double", "c-check-double", "c-triple", "c-check-triple", "c-essay"]


def marked(id_: str, **marks: Any) -> dict:
    base = {"schema_version": 3, "grade_id": id_, "grade": False, "solution": False, "locked": True, "task": False}
    return {"nbgrader": base | marks}


def solved() -> NotebookNode:
    """A lab with two exercises in code and one in Markdown, with its solutions."""

    def body(source: str) -> str:
        head, _, rest = source.partition("\n")
        return f"{head}\n    ### BEGIN SOLUTION\n{rest}\n    ### END SOLUTION"

    triple = f"{body(FIRST)}\n\n\n{body(SECOND)}"
    answer = {"solution": True, "locked": False}
    cells = [
        new_markdown_cell("# Warm up: double\n\nText.", metadata=marked("title")),
        new_code_cell("import math", metadata=marked("setup")),
        new_code_cell(body(DOUBLE), metadata=marked("double", **answer)),
        new_code_cell("lab.check('double')", metadata=marked("check-double", grade=True, points=1)),
        new_code_cell(triple, metadata=marked("triple", **answer)),
        new_code_cell("lab.check('triple')", metadata=marked("check-triple", grade=True, points=2)),
        new_markdown_cell("model text", metadata=marked("essay", grade=True, points=1, **answer)),
    ]
    for cell, id_ in zip(cells, JUPYTER_IDS, strict=True):
        cell.id = id_
    return new_notebook(cells=cells)


LAB = release(solved())


def submission() -> NotebookNode:
    """What a student hands in who has written all three answers."""
    notebook = copy.deepcopy(LAB)
    for cell, source in zip((notebook.cells[2], notebook.cells[4], notebook.cells[6]), written(), strict=True):
        cell.source = source
    return notebook


def written() -> tuple[str, str, str]:
    return DOUBLE, TRIPLE, ESSAY


BOTH = {"double": DOUBLE, "triple": TRIPLE}


def raw(notebook: Any) -> bytes:
    return json.dumps(notebook).encode()


def changed(change: Callable[[NotebookNode], None]) -> bytes:
    notebook = submission()
    change(notebook)
    return raw(notebook)


def test_the_lab_of_these_tests_is_what_students_get() -> None:
    assert "def double" in LAB.cells[2].source and LAB.cells[2].source.count(STUB) == 1
    assert "def triple" in LAB.cells[4].source and "def thrice" in LAB.cells[4].source
    assert LAB.cells[4].source.count(STUB) == 2 and "return" not in LAB.cells[4].source


def test_an_honest_submission_gives_its_code_answers_in_the_labs_order() -> None:
    found = answers(raw(submission()), LAB)
    assert list(found.sources.items()) == list(BOTH.items())
    assert found.notes == () and found.problem == ""


def test_the_arguments_are_left_as_they_are() -> None:
    before = copy.deepcopy(LAB)
    rebuilt(raw(submission()), LAB)
    assert before == LAB


def test_an_unchanged_stub_is_taken_as_it_is() -> None:
    found = answers(raw(LAB), LAB)
    assert found.sources == {"double": LAB.cells[2].source, "triple": LAB.cells[4].source} and found.notes == ()


def test_an_emptied_cell_is_taken_as_it_is() -> None:
    found = answers(changed(lambda nb: nb.cells[2].update(source="")), LAB)
    assert found.sources == BOTH | {"double": ""} and found.notes == ()


# --- the file

JUNK = {
    "empty": (b"", rebuild.EMPTY),
    "blank": (b" \n\t", rebuild.EMPTY),
    "a zip": (b"PK\x03\x04\x00\xff", rebuild.ZIP),
    "a web page": (b"\n<!DOCTYPE html><html></html>", rebuild.PAGE),
    "a merge conflict": (b'{"cells": [\n<<<<<<< HEAD\n 1\n=======\n', rebuild.CONFLICT),
    "no JSON": (b"def double(x):", "not valid JSON"),
    "cut off": (raw(submission())[:-40], "not valid JSON"),
    "two documents": (raw(submission()) * 2, "line 1, Extra data"),
    "Latin-1": ('{"cells": "é"}'.encode("latin-1"), rebuild.ENCODING),
    "half of UTF-16": ("{}".encode("utf-16") + b"\x00", rebuild.ENCODING),
    "bytes": (bytes(range(256)), "not"),
    "a list": (b"[]", rebuild.NO_NOTEBOOK),
    "null": (b"null", rebuild.NO_NOTEBOOK),
    "a text": (b'"cells"', rebuild.NO_NOTEBOOK),
    "an object": (b"{}", rebuild.NO_NOTEBOOK),
    "cells are a number": (b'{"nbformat": 4, "cells": 4}', rebuild.NO_NOTEBOOK),
    "cells are an object": (b'{"nbformat": 4, "cells": {}}', rebuild.NO_NOTEBOOK),
    "deep lists": (b"[" * 300_000, rebuild.TOO_MUCH),
    "deep objects": (b'{"a":' * 300_000, rebuild.TOO_MUCH),
    "deep and whole": (b"[" * 300_000 + b"]" * 300_000, rebuild.TOO_MUCH),
    "many small objects": (b"[" + b"{}," * 1_100_000 + b"{}]", rebuild.TOO_MUCH),
    "a number of a million digits": (b'{"cells": ' + b"9" * 1_000_000 + b"}", "not valid JSON"),
    "too large": (b" " * (rebuild.MAX_FILE + 1), rebuild.TOO_LARGE),
    "too many cells": (raw({"nbformat": 4, "cells": [{}] * 6000}), rebuild.CELLS),
    "worksheets are a number": (raw({"nbformat": 3, "worksheets": 3}), rebuild.NO_NOTEBOOK),
    "a worksheet is a number": (raw({"nbformat": 3, "worksheets": [3]}), rebuild.NO_NOTEBOOK),
}


@pytest.mark.parametrize("content, problem", JUNK.values(), ids=JUNK)
def test_a_file_that_is_no_notebook_is_a_problem(content, problem) -> None:
    found = answers(content, LAB)
    assert found.sources == {} and problem in found.problem
    assert rebuilt(content, LAB) == LAB


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_unicode_encodings(encoding) -> None:
    accent = "double = lambda x: x + x  # zweimal, für Zoë \U0001f600"
    notebook = submission()
    notebook.cells[2].source = accent
    content = json.dumps(notebook, ensure_ascii=False).encode(encoding)
    assert answers(content, LAB).sources == BOTH | {"double": accent}


def test_of_a_key_that_occurs_twice_the_last_counts() -> None:
    content = raw(submission()).replace(b'"source": "def double', b'"source": "other", "source": "def double')
    found = answers(content, LAB)
    assert found.sources == BOTH and "occur twice" in found.notes[0]


def as_format_3(notebook: NotebookNode) -> dict:
    return nbformat.convert(copy.deepcopy(notebook), 3)


def test_format_3_is_read_as_it_stands() -> None:
    old = as_format_3(submission())
    assert old["nbformat"] == 3 and "worksheets" in old
    found = answers(raw(old), LAB)
    assert found.sources == BOTH and found.notes == () and found.problem == ""
    assert rebuilt(raw(old), LAB).cells[6].source == ESSAY


def test_format_3_with_lists_and_two_worksheets() -> None:
    old = as_format_3(submission())
    cells = old["worksheets"][0]["cells"]
    for cell in cells:
        key = "input" if cell["cell_type"] == "code" else "source"
        cell[key] = cell[key].splitlines(keepends=True)
    old["worksheets"] = [{"cells": cells[:3]}, {"cells": cells[3:]}]
    assert answers(raw(old), LAB).sources == BOTH


FORMATS = {
    "1": (1, "format 1, which has no place"),
    "2": (2, "format 2, which has no place"),
    "5": (5, "format 5; 4 is the newest"),
    "17": (17, "format 17"),
    "4.0": (4.0, ""),
    "4.5": (4.5, ""),
}


@pytest.mark.parametrize("number, problem", FORMATS.values(), ids=FORMATS)
def test_formats(number, problem) -> None:
    found = answers(changed(lambda nb: nb.update(nbformat=number)), LAB)
    assert problem in found.problem and bool(found.problem) == bool(problem)
    assert found.sources == ({} if problem else BOTH)


@pytest.mark.parametrize("number", [None, "4", True, [4], {}, -1, 10**400, float("inf"), float("nan"), 1e300])
def test_a_format_that_is_none_is_read_as_4(number) -> None:
    found = answers(changed(lambda nb: nb.update(nbformat=number)), LAB)
    assert found.sources == BOTH and "does not say which format" in found.notes[0]


def test_a_missing_format_is_read_as_4() -> None:
    found = answers(changed(lambda nb: nb.pop("nbformat")), LAB)
    assert found.sources == BOTH and "does not say which format" in found.notes[0]


# --- cells that are not answers


def test_everything_but_the_answers_is_ignored() -> None:
    def tamper(nb: NotebookNode) -> None:
        nb.cells[1].source = "import evil"
        nb.cells[3].source = "lab.check = None"
        nb.cells[3].metadata.nbgrader.update(points=1000, solution=True)
        nb.cells[2].metadata.nbgrader.update(points=1000, grade=True, solution=False)
        nb.metadata.kernelspec = {"name": "bash", "display_name": "bash", "language": "bash"}
        nb.cells.insert(0, new_code_cell("raise SystemExit"))

    assert answers(changed(tamper), LAB).sources == BOTH
    result = rebuilt(changed(tamper), LAB)
    assert result.metadata == LAB.metadata
    assert [cell.source for cell in result.cells] == [
        LAB.cells[0].source, "import math", DOUBLE, "lab.check('double')", TRIPLE, "lab.check('triple')", ESSAY,
    ]  # fmt: skip


@pytest.mark.parametrize("cell", [None, 3, "code", [], {}, {"cell_type": 4}, {"metadata": {"nbgrader": []}}])
def test_cells_that_are_no_cells_are_ignored(cell) -> None:
    assert answers(changed(lambda nb: nb.cells.insert(1, cell)), LAB).sources == BOTH


def test_moved_cells_are_no_matter() -> None:
    found = answers(changed(lambda nb: nb.cells.reverse()), LAB)
    assert list(found.sources.items()) == list(BOTH.items()) and found.notes == ()


# --- one answer


def test_a_deleted_answer_has_no_entry() -> None:
    found = answers(changed(lambda nb: nb.cells.pop(2)), LAB)
    assert found.sources == {"triple": TRIPLE}
    assert found.notes == ("The answer cell of double is missing, so this exercise counts as not attempted.",)


@pytest.mark.parametrize("kind", ["markdown", "raw", "heading", "nonsense", None, 7])
def test_a_retyped_answer_is_taken(kind) -> None:
    found = answers(changed(lambda nb: nb.cells[2].update(cell_type=kind)), LAB)
    assert found.sources == BOTH and "double is no longer a code cell" in found.notes[0]


def test_an_answer_in_markdown_turned_into_code_is_taken() -> None:
    content = changed(lambda nb: nb.cells[6].update(cell_type="code"))
    assert rebuilt(content, LAB).cells[6].source == ESSAY
    assert rebuilt(content, LAB).cells[6].cell_type == "markdown"


@pytest.mark.parametrize("source", [DOUBLE.splitlines(keepends=True), [DOUBLE], list(DOUBLE), ["", DOUBLE, ""]])
def test_a_source_as_a_list(source) -> None:
    assert answers(changed(lambda nb: nb.cells[2].update(source=source)), LAB).sources == BOTH


NOT_TEXT = {
    "null": None,
    "a number": 3,
    "an object": {"a": 1},
    "a list of numbers": [1, 2],
    "a list with null": ["def double(x): ", None],
    "nested lists": [["def double(x): ..."]],
    "half a surrogate pair": "x = '\ud800'",
    "a NUL": "x = 1\0",
}


@pytest.mark.parametrize("source", NOT_TEXT.values(), ids=NOT_TEXT)
def test_a_source_that_is_not_text_has_no_entry(source) -> None:
    found = answers(changed(lambda nb: nb.cells[2].update(source=source)), LAB)
    assert found.sources == {"triple": TRIPLE} and "double does not hold plain text" in found.notes[0]


def test_a_missing_source_has_no_entry() -> None:
    found = answers(changed(lambda nb: nb.cells[2].pop("source")), LAB)
    assert found.sources == {"triple": TRIPLE} and "double does not hold plain text" in found.notes[0]


@pytest.mark.parametrize("extra, taken", [(0, True), (1, False)])
def test_the_bound_of_a_source(extra, taken) -> None:
    long = DOUBLE + "\n" + "#" * (rebuild.MAX_SOURCE - len(DOUBLE) - 1 + extra)
    found = answers(changed(lambda nb: nb.cells[2].update(source=long)), LAB)
    assert ("double" in found.sources) == taken
    assert taken or "double holds more than 200,000 characters" in found.notes[0]


def test_code_that_does_not_compile_is_taken_as_it_is() -> None:
    source = "def double(x:\r\n  \u00a0 %%bash !!"
    assert answers(changed(lambda nb: nb.cells[2].update(source=source)), LAB).sources["double"] == source


# --- the same grade_id several times

OLD = "def double(x):\n    return x"
HELPER = "def _twice(x):\n    return x + x"
USES = "def double(x):\n    return _twice(x)"
TRY = "print(double(3))"
COPIES = {
    "the last of two attempts": (2, [OLD, DOUBLE], DOUBLE),
    "the last of two attempts, turned": (2, [DOUBLE, OLD], OLD),
    "the stub after the answer": (2, [DOUBLE, LAB.cells[2].source], DOUBLE),
    "the stub with spaces after the answer": (2, [DOUBLE, LAB.cells[2].source + "\n\n"], DOUBLE),
    "the stub before the answer": (2, [LAB.cells[2].source, DOUBLE], DOUBLE),
    "an empty cell after the answer": (2, [DOUBLE, " \n"], DOUBLE),
    "two stubs": (2, [LAB.cells[2].source] * 2, LAB.cells[2].source),
    "two that are empty": (2, ["", " "], " "),
    "no text after the answer": (2, [DOUBLE, None], DOUBLE),
    "a trial split off": (2, [DOUBLE, TRY], DOUBLE),
    "a helper split off above": (2, [HELPER, USES], f"{HELPER}\n\n{USES}"),
    "a helper split off below": (2, [USES, HELPER], f"{USES}\n\n{HELPER}"),
    "an import split off": (2, ["import math", DOUBLE, TRY], f"import math\n\n{DOUBLE}"),
    "an answer split in two": (4, [FIRST, SECOND], f"{FIRST}\n\n{SECOND}"),
    "half of it written again": (4, [TRIPLE, FIRST], f"{TRIPLE}\n\n{FIRST}"),
    "all of it written again": (4, [FIRST, SECOND, TRIPLE], TRIPLE),
    "a class and an async def": (2, ["class Kept: ...", "async def more(): ...", DOUBLE], None),
    "nothing of the stub": (2, ["a = 1", "b = 2"], "a = 1\n\nb = 2"),
    "a method of that name is none": (2, [DOUBLE, "class Other:\n    def double(self): ..."], None),
    "a name assigned": (2, [OLD, "double = lambda x: 2 * x"], "double = lambda x: 2 * x"),
    "a name compared": (2, [DOUBLE, "double == 3"], DOUBLE),
    "an annotated name": (2, [OLD, "double: object = abs"], "double: object = abs"),
}


@pytest.mark.parametrize("place, sources, taken", COPIES.values(), ids=COPIES)
def test_duplicated_answer_cells(place, sources, taken) -> None:
    def duplicate(nb: NotebookNode) -> None:
        cell = nb.cells.pop(place)
        for offset, source in enumerate(sources):
            twin = copy.deepcopy(cell)
            twin.update(source=source, id=f"twin-{offset}")
            nb.cells.insert(place + offset, twin)

    name = LAB.cells[place].metadata.nbgrader.grade_id
    found = answers(changed(duplicate), LAB)
    assert found.sources[name] == ("\n\n".join(sources) if taken is None else taken)
    assert found.notes[0].startswith(f"There are {len(sources)} answer cells of {name}; ")
    assert {"double": DOUBLE, "triple": TRIPLE} | {name: found.sources[name]} == found.sources


def with_twin(source: str, kind: str = "code", *, before: bool = False, text: str | None = None) -> bytes:
    def duplicate(nb: NotebookNode) -> None:
        twin = copy.deepcopy(nb.cells[2])
        twin.update(source=source, cell_type=kind, id="twin")
        if text is not None:
            nb.cells[2].source = text
        nb.cells.insert(2 if before else 3, twin)

    return changed(duplicate)


def test_code_counts_before_other_kinds() -> None:
    found = answers(with_twin(OLD, "markdown"), LAB)
    assert found.sources["double"] == DOUBLE and "number 1 was graded" in found.notes[0]


def test_another_kind_counts_where_code_is_still_the_stub() -> None:
    found = answers(with_twin(OLD, "markdown", text=LAB.cells[2].source), LAB)
    assert found.sources["double"] == OLD
    assert "number 2 was graded" in found.notes[0] and "no longer a code cell" in found.notes[1]


def test_the_note_says_which_was_graded() -> None:
    assert "number 2 was graded. Keep the answer in one cell." in answers(with_twin(OLD), LAB).notes[0]
    assert "2 of them were graded as one" in answers(with_twin(HELPER, before=True), LAB).notes[0]


def test_joined_cells_have_one_bound() -> None:
    part = "# " + "x" * (rebuild.MAX_SOURCE // 2)
    found = answers(with_twin(part, before=True, text=DOUBLE + "\n" + part), LAB)
    assert "double" not in found.sources and "more than 200,000" in found.notes[0]


def test_thousands_of_copies() -> None:
    found = answers(changed(lambda nb: nb.cells.extend([nb.cells[2]] * 4000)), LAB)
    assert found.sources == BOTH and "There are 4001 answer cells" in found.notes[0]


# --- lost names

LOST = {
    "no nbgrader key": lambda cell: cell.metadata.pop("nbgrader"),
    "no metadata": lambda cell: cell.pop("metadata"),
    "metadata is a list": lambda cell: cell.update(metadata=[]),
    "nbgrader is a text": lambda cell: cell.metadata.update(nbgrader="double"),
    "no grade_id": lambda cell: cell.metadata.nbgrader.pop("grade_id"),
    "a grade_id of nobody": lambda cell: cell.metadata.nbgrader.update(grade_id="cell-1a2b"),
    "grade_id is a number": lambda cell: cell.metadata.nbgrader.update(grade_id=7),
    "grade_id is a list": lambda cell: cell.metadata.nbgrader.update(grade_id=["double"]),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_lost_name_is_found_by_cell_id_and_place(lose) -> None:
    found = answers(changed(lambda nb: lose(nb.cells[2])), LAB)
    assert found.sources == BOTH
    assert found.notes == ("The answer cell of double has lost its name; it was found by its id and its place.",)


def test_all_names_lost() -> None:
    def lose(nb: NotebookNode) -> None:
        for cell in nb.cells:
            cell.metadata = {}

    assert answers(changed(lose), LAB).sources == BOTH


def lose_name(nb: NotebookNode) -> NotebookNode:
    nb.cells[2].metadata = {}
    return nb.cells[2]


NOT_FOUND = {
    "another cell id": lambda nb: lose_name(nb).update(id="other"),
    "no cell id": lambda nb: lose_name(nb).pop("id"),
    "two with that id": lambda nb: nb.cells.append(copy.deepcopy(lose_name(nb))),
    "another place": lambda nb: nb.cells.append(nb.cells.pop(nb.cells.index(lose_name(nb)))),
}


@pytest.mark.parametrize("lose", NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_lost_name_is_not_guessed(lose) -> None:
    found = answers(changed(lose), LAB)
    assert found.sources == {"triple": TRIPLE} and "double is missing" in found.notes[0]


def test_a_cell_with_the_name_counts_before_one_with_the_id() -> None:
    def swap(nb: NotebookNode) -> None:
        nb.cells.insert(3, new_code_cell(OLD, id=nb.cells[2].id))
        nb.cells[2].id = "other"

    assert answers(changed(swap), LAB).sources == BOTH


def test_a_lab_without_cell_ids() -> None:
    lab, handed_in = copy.deepcopy(LAB), submission()
    for cell in [*lab.cells, *handed_in.cells]:
        del cell["id"]
    assert answers(raw(handed_in), lab).sources == BOTH
    handed_in.cells[2].metadata = {}
    assert answers(raw(handed_in), lab).sources == {"triple": TRIPLE}


# --- the wrong lab


def other_lab(*names: str) -> bytes:
    answer = {"solution": True, "locked": False}
    cells = [new_code_cell(DOUBLE, metadata=marked(name, **answer)) for name in names]
    return raw(new_notebook(cells=[new_markdown_cell("# Model to API\n\nText", metadata=marked("title")), *cells]))


def test_another_lab_is_a_problem_that_names_it() -> None:
    found = answers(other_lab("serve", "validate"), LAB)
    assert found.sources == {}
    assert 'not the notebook of "Warm up: double"' in found.problem and 'looks like "Model to API"' in found.problem


def test_another_lab_with_an_exercise_of_the_same_name_is_a_problem() -> None:
    assert "of another lab" in answers(other_lab("serve", "validate", "double"), LAB).problem


def test_a_lab_with_a_cell_of_another_lab_is_graded() -> None:
    answer = marked("serve", solution=True, locked=False)
    found = answers(changed(lambda nb: nb.cells.append(new_code_cell(OLD, metadata=answer))), LAB)
    assert found.sources == BOTH and found.problem == ""


def test_a_notebook_of_ones_own_is_a_problem() -> None:
    found = answers(
        raw(new_notebook(cells=[new_markdown_cell("# \x1b[2J Mine " + "x" * 200), new_code_cell("1")])), LAB
    )
    assert 'no answer cell of "Warm up: double"' in found.problem
    assert "Mine" in found.problem and found.problem.isprintable() and len(found.problem) < 250


def test_all_answers_deleted_is_not_the_wrong_lab() -> None:
    def delete(nb: NotebookNode) -> None:
        nb.cells = [cell for cell in nb.cells if not cell.metadata.nbgrader.solution]

    found = answers(changed(delete), LAB)
    assert found.sources == {} and found.problem == "" and len(found.notes) == 3


# --- the notebook that an instructor opens


def test_rebuilt_is_the_lab_with_the_answers() -> None:
    result = rebuilt(raw(submission()), LAB)
    nbformat.validate(result)
    assert [cell.source for cell in result.cells] == [cell.source for cell in submission().cells]
    assert [cell.metadata for cell in result.cells] == [cell.metadata for cell in LAB.cells]


def test_rebuilt_keeps_the_stub_of_what_is_missing() -> None:
    result = rebuilt(changed(lambda nb: nb.cells.pop(2)), LAB)
    assert result.cells[2] == LAB.cells[2] and result.cells[4].source == TRIPLE


# --- the real lab


@pytest.fixture(scope="module")
def real(root: Path) -> tuple[NotebookNode, bytes, bytes]:
    name = "lab01_save_once"
    lab, solution = (root / folder / name / f"{name}.ipynb" for folder in ("labs", "solutions"))
    return nbformat.read(lab, as_version=4), lab.read_bytes(), solution.read_bytes()


def test_the_lab_as_handed_out(real) -> None:
    lab, content, _ = real
    found = answers(content, lab)
    stubs = {cell.metadata.nbgrader.grade_id: cell.source for cell in lab.cells if cell.metadata.nbgrader.solution}
    assert found.sources == stubs and not found.notes and not found.problem
    assert rebuilt(content, lab) == lab


def test_the_solution_as_a_submission(real) -> None:
    lab, _, content = real
    found = answers(content, lab)
    solution = nbformat.reads(content.decode(), as_version=4)
    own = {cell.metadata.nbgrader.grade_id: cell.source for cell in solution.cells if cell.metadata.nbgrader.solution}
    assert found.sources == own and not found.notes and not found.problem
    assert all(cell.get("outputs", []) == [] for cell in rebuilt(content, lab).cells)


def test_the_real_lab_without_any_metadata(real) -> None:
    lab, content, _ = real
    notebook = json.loads(content)
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    found = answers(raw(notebook), lab)
    assert len(found.sources) == len(found.notes) == 7 and not found.problem


def test_the_lab_of_these_tests_is_not_the_real_one(real) -> None:
    assert 'looks like "Warm up: double"' in answers(raw(submission()), real[0]).problem


# --- anything at all


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, and every list of texts as one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        if all(isinstance(inner, str) for inner in value):
            yield "".join(value)
        for inner in value:
            yield from texts(inner)


def made_of(source: str, literals: set[str]) -> bool:
    """Whether the source is one of the texts, or some of them one after another."""
    return source in literals or any(
        source.startswith(text + rebuild.JOIN) and made_of(source[len(text + rebuild.JOIN) :], literals)
        for text in literals
    )


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path to every value in a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


VALUES = [
    None, True, 0, -1, 3, 4, 5, 1e308, "", "code", "double", "c-double", DOUBLE, "\ud800", "\0", [], {}, [[]], ["a", 1],
    {"nbgrader": None}, {"nbgrader": {"grade_id": "double"}},
]  # fmt: skip


def mutated(notebook: Any, dice: random.Random) -> Any:
    """The notebook with one value replaced, removed, doubled, moved or renamed at random."""
    path = dice.choice([path for path in places(notebook) if path])
    holder = notebook
    for key in path[:-1]:
        holder = holder[key]
    key, how = path[-1], dice.choice(["replace", "remove", "double", "copy", "rename"])
    other = notebook
    for step in dice.choice(list(places(notebook))):
        other = other[step]
    if how == "remove":
        del holder[key]
    elif how == "double" and isinstance(holder, list):
        holder.insert(dice.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    elif how == "copy":
        holder[key] = copy.deepcopy(other)
    elif how == "rename" and isinstance(holder, dict):
        holder[dice.choice(["id", "source", "input", "metadata", "cells", "grade_id", "x"])] = holder.pop(key)
    else:
        holder[key] = copy.deepcopy(dice.choice(VALUES))
    return notebook


@pytest.mark.parametrize("seed", range(300))
def test_a_notebook_changed_at_random_never_raises_and_nothing_is_made_up(seed) -> None:
    dice = random.Random(seed)
    notebook = json.loads(json.dumps(as_format_3(submission()) if seed % 5 == 0 else submission()))
    for _ in range(dice.randint(1, 6)):
        if isinstance(notebook, dict) and notebook:
            notebook = mutated(notebook, dice)
    content = raw(notebook)
    found = answers(content, LAB)
    literals = set(texts(json.loads(content)))
    assert all(made_of(source, literals) for source in found.sources.values())
    assert set(found.sources) <= set(BOTH) and not (found.problem and found.sources)
    assert len(found.sources) == 2 or found.notes or found.problem
    nbformat.validate(rebuilt(content, LAB))


@pytest.mark.parametrize("seed", range(100))
def test_bytes_changed_at_random_never_raise(seed) -> None:
    dice = random.Random(seed)
    content = bytearray(raw(submission()))
    for _ in range(dice.randint(1, 20)):
        start = dice.randrange(len(content))
        content[start : start + dice.randrange(4)] = dice.choice([b"", b"\xff", b"\\", b'"', b"{", b"]", b"\x00", b"9"])
    found = answers(bytes(content), LAB)
    if found.sources:
        literals = set(texts(json.loads(bytes(content))))
        assert all(made_of(source, literals) for source in found.sources.values())


def test_the_random_changes_reach_every_kind_of_result() -> None:
    """So that the test above cannot pass for having changed nothing that matters."""
    kinds = set()
    for seed in range(300):
        dice = random.Random(seed)
        notebook = json.loads(json.dumps(submission()))
        for _ in range(dice.randint(1, 6)):
            notebook = mutated(notebook, dice)
        found = answers(raw(notebook), LAB)
        kinds |= {"problem"} if found.problem else {note.split(" of ")[-1][:40] for note in found.notes}
        kinds |= {"as written"} if found.sources == BOTH else {"other sources"} if found.sources else set()
    assert {"problem", "as written", "other sources"} <= kinds and len(kinds) >= 8
