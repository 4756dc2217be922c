"""Takes the answers out of a submission by grade_id, and nothing else.

The lab as released says which cells are answers. Of the submission only their sources count; its check
cells, set-up cells, outputs, metadata and points are never looked at.

What is odd is treated by a rule, and a note tells the student:

- An answer cell that is missing, is not text (a number, half of a surrogate pair, a NUL) or is longer than
  MAX_SOURCE: no entry, which counts as not attempted.
- Cells that were moved or added: no matter, and no note.
- A code cell turned into Markdown or raw: taken, as nbgrader does, since the text is what was written.
- The same grade_id in several cells, which JupyterLab makes by copying and by splitting a cell: copies
  that are empty or still the stub do not count, nor what is not code beside what is. Of cells that define
  the same name of the stub the last counts, as when the notebook runs from top to bottom. The others are
  parts of a split answer and are joined in their order; below the last that defines a name of the
  stub only those with a function or class are, since the rest are trials. This gives nothing away: a
  student could have handed in just these lines in one cell.
- A cell without a grade_id of the lab: taken if its cell id is that of an answer that is otherwise
  missing, no other cell has it, and the cell before or after it is the one that stands there in the lab.
- Format 3 is read as it stands. Formats 1, 2 and those above 4 are a problem.
- A key that occurs twice in an object: the last counts, as in Jupyter.

With more answer cells of another lab than of this one, it is the wrong notebook.
"""

from __future__ import annotations

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

from labkit.build import mark
from labkit.grading.model import Answers
from labkit.grading.submissions import EMPTY, MAX_FILE, TOO_LARGE

MAX_SOURCE = 200_000
MAX_CELLS = 5_000
MAX_CONTAINERS = 1_000_000  # objects and lists; each takes some 200 bytes once it is read
JOIN = "\n\n"

TOO_MUCH = "The file is nested too deeply or has too many parts for a notebook."
ZIP = "The file is a zip with the name of a notebook. Hand in the notebook itself."
PAGE = "The file is a web page, not a notebook. Download the notebook itself (.ipynb), not the page that shows it."
CONFLICT = (
    "The file holds the marks of a merge conflict (<<<<<<<), so it is no longer a notebook. Resolve the conflict."
)
ENCODING = "The file is not text in UTF-8, as a notebook is."
NO_NOTEBOOK = "The file is not a notebook: it has no list of cells."
OLD = "The notebook is of format {format}, which has no place for the names of cells. Copy your answers into the lab."
NEW = "The notebook is of format {format}; 4 is the newest that is graded. Save it as format 4."
CELLS = f"The notebook has more than {MAX_CELLS:,} cells."


class _Refused(Exception):
    """Nothing can be taken, for a reason in a sentence for the student."""


@dataclass(frozen=True)
class _Cell:
    """A cell of a submission; `source` is None if it is not text."""

    kind: str
    grade_id: str
    cell_id: str
    is_answer: bool
    source: str | None


def answers(content: bytes, lab: NotebookNode) -> Answers:
    """The sources of the answers to a lab's exercises; never raises for what stands in `content`.

    Parameters
    ----------
    content
        The submitted file.
    lab
        The lab as released, which is trusted.
    """
    found = _read(content, lab)
    code = {mark(cell)["grade_id"] for cell in _answer_cells(lab) if cell.cell_type == "code"}
    return Answers({name: source for name, source in found.sources.items() if name in code}, found.notes, found.problem)


def rebuilt(content: bytes, lab: NotebookNode) -> NotebookNode:
    """The lab as released with the submitted answers in their cells, those in Markdown too.

    An answer that could not be taken keeps its stub. Both arguments are left as they are.
    """
    sources = _read(content, lab).sources
    notebook = copy.deepcopy(lab)
    for cell in _answer_cells(notebook):
        cell.source = sources.get(mark(cell)["grade_id"], cell.source)
    return notebook


def _read(content: bytes, lab: NotebookNode) -> Answers:
    notes: list[str] = []
    try:
        cells = _cells(_notebook(content, notes), notes)
        _expect(cells, lab)
    except _Refused as refused:
        return Answers(notes=tuple(notes), problem=str(refused))
    copies = defaultdict(list)
    for cell in cells:
        copies[cell.grade_id].append(cell)
    sources = {}
    for cell in _answer_cells(lab):
        name = mark(cell)["grade_id"]
        source = _source(cell, copies[name] or _by_cell_id(cell, cells, lab, notes), notes)
        if source is not None:
            sources[name] = source
    return Answers(sources, tuple(notes))


def _answer_cells(lab: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in lab.cells if mark(cell).get("solution")]


# --- the file


def _notebook(content: bytes, notes: list[str]) -> dict[str, Any]:
    """The file's JSON object, or _Refused."""
    twice = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        kept = dict(found)
        twice = twice or len(kept) < len(found)
        return kept

    if len(content) > MAX_FILE:
        raise _Refused(TOO_LARGE)
    if not content.strip():
        raise _Refused(EMPTY)
    try:
        text = content.decode(json.detect_encoding(content))
        if text.count("{") + text.count("[") > MAX_CONTAINERS:
            raise _Refused(TOO_MUCH)
        notebook = json.loads(text, object_pairs_hook=pairs)
    except (RecursionError, MemoryError):
        raise _Refused(TOO_MUCH) from None
    except ValueError as error:
        raise _Refused(_not_json(content, error)) from None
    if not isinstance(notebook, dict):
        raise _Refused(NO_NOTEBOOK)
    if twice:
        notes.append("Some entries of the notebook's file occur twice; the last of each was taken.")
    return notebook


def _not_json(content: bytes, error: ValueError) -> str:
    start = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"pk\x03\x04"):
        return ZIP
    if start.startswith((b"<!doctype", b"<html")):
        return PAGE
    if b"\n<<<<<<< " in content:
        return CONFLICT
    if isinstance(error, UnicodeError):
        return ENCODING
    where = f": line {error.lineno}, {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
    return f"The file is not valid JSON, as a notebook is{where}. It may be cut off; open it in Jupyter to see."


def _cells(notebook: dict[str, Any], notes: list[str]) -> list[_Cell]:
    """The cells of a notebook of format 3 or 4, or _Refused."""
    number = notebook.get("nbformat")
    if type(number) not in (int, float) or not 0 <= number < 1000:
        number = 4
        if isinstance(notebook.get("cells"), list):
            notes.append("The notebook does not say which format it has; it was read as format 4.")
    if number < 3 and ("worksheets" in notebook or "cells" in notebook):
        raise _Refused(OLD.format(format=f"{number:g}"))
    if number >= 5:
        raise _Refused(NEW.format(format=f"{number:g}"))
    sheets = [notebook] if "cells" in notebook else notebook.get("worksheets")
    if not isinstance(sheets, list) or not all(
        isinstance(sheet, dict) and isinstance(sheet.get("cells"), list) for sheet in sheets
    ):
        raise _Refused(NO_NOTEBOOK)
    if sum(len(sheet["cells"]) for sheet in sheets) > MAX_CELLS:
        raise _Refused(CELLS)
    return [_cell(cell) for sheet in sheets for cell in sheet["cells"] if isinstance(cell, dict)]


def _cell(cell: dict[str, Any]) -> _Cell:
    metadata = cell.get("metadata")
    found = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    found = found if isinstance(found, dict) else {}
    source = cell.get("source", cell.get("input"))  # format 3 calls it input in code cells
    if isinstance(source, list) and all(type(line) is str for line in source):
        source = "".join(source)
    return _Cell(
        kind=_text(cell.get("cell_type")),
        grade_id=_text(found.get("grade_id")),
        cell_id=_text(cell.get("id")),
        is_answer=found.get("solution") is True,
        source=source if type(source) is str else None,
    )


def _text(value: object) -> str:
    return value if type(value) is str else ""


def _short(text: str) -> str:
    """At most 60 characters on one line, each of which can be shown."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:60]


# --- the lab


def _expect(cells: list[_Cell], lab: NotebookNode) -> None:
    """Refuse a notebook that is not this lab's."""
    answer_ids = {mark(cell)["grade_id"] for cell in _answer_cells(lab)}
    graded = answer_ids | {mark(cell)["grade_id"] for cell in lab.cells if mark(cell).get("grade")}
    cell_ids = {cell.get("id") for cell in _answer_cells(lab)}
    there = {cell.grade_id for cell in cells}
    own = there & graded or {cell.cell_id for cell in cells} & cell_ids
    foreign = {cell.grade_id for cell in cells if cell.is_answer and cell.grade_id} - graded
    if own and len(foreign) <= len(there & answer_ids):
        return
    title = _title(cell.source for cell in cells if cell.kind in ("markdown", "heading"))
    looks = f" It looks like {title}." if title else ""
    wanted = _title(cell.source for cell in lab.cells if cell.cell_type == "markdown") or "this lab"
    if foreign:
        raise _Refused(f"This is not the notebook of {wanted}: its answer cells are of another lab.{looks}")
    raise _Refused(f"This notebook has no answer cell of {wanted}. Write the answers in the lab's own cells.{looks}")


def _title(sources: Iterable[str | None]) -> str:
    """The first heading among the sources in quotation marks, or ""."""
    first = next((source for source in sources if source), "")
    short = _short(first[:1000].lstrip("# ").split("\n", 1)[0])
    return f'"{short}"' if short else ""


def _by_cell_id(answer: NotebookNode, cells: list[_Cell], lab: NotebookNode, notes: list[str]) -> list[_Cell]:
    """The one cell that has lost its grade_id and can still be told by its cell id and its place."""
    name, wanted = mark(answer)["grade_id"], answer.get("id")
    grade_ids = [mark(cell)["grade_id"] for cell in lab.cells if mark(cell).get("grade_id")]
    by_id = {cell.get("id"): mark(cell).get("grade_id") for cell in lab.cells}
    known_ids = set(grade_ids)
    named = [cell.grade_id if cell.grade_id in known_ids else by_id.get(cell.cell_id) for cell in cells]
    places = [place for place, cell in enumerate(cells) if wanted and cell.cell_id == wanted]
    if len(places) != 1 or named[places[0]] != name:
        return []
    known = [other for other in named if other]
    here, there = known.index(name), grade_ids.index(name)
    around = [(known[here - 1] if here else None), *known[here + 1 : here + 2]]
    expected = [(grade_ids[there - 1] if there else None), *grade_ids[there + 1 : there + 2]]
    if not any(mine == theirs for mine, theirs in zip(around, expected, strict=False)):
        return []
    notes.append(f"The answer cell of {name} has lost its name; it was found by its id and its place.")
    return [cells[places[0]]]


# --- one answer


def _source(answer: NotebookNode, copies: list[_Cell], notes: list[str]) -> str | None:
    """What to take of the cells that have this answer's grade_id, or None."""
    name, untried = mark(answer)["grade_id"], "so this exercise counts as not attempted."
    if not copies:
        notes.append(f"The answer cell of {name} is missing, {untried}")
        return None
    usable = [cell for cell in copies if cell.source is not None and _encodable(cell.source)]
    if not usable:
        notes.append(f"The answer cell of {name} does not hold plain text, {untried}")
        return None
    written = [cell for cell in usable if cell.source.strip() not in ("", answer.source.strip())]
    parts = _parts(_of_kind(written, answer), answer.source) or _of_kind(usable, answer)[-1:]
    source = JOIN.join(part.source for part in parts)
    if len(source) > MAX_SOURCE:
        notes.append(f"The answer cell of {name} holds more than {MAX_SOURCE:,} characters, {untried}")
        return None
    if len(copies) > 1:
        number = next(number for number, cell in enumerate(copies, 1) if cell is parts[-1])
        graded = f"number {number} was graded" if len(parts) == 1 else f"{len(parts)} of them were graded as one"
        notes.append(f"There are {len(copies)} answer cells of {name}; {graded}. Keep the answer in one cell.")
    if any(part.kind != answer.cell_type for part in parts):
        notes.append(f"The answer cell of {name} is no longer a {answer.cell_type} cell; its text was taken as one.")
    return source


def _of_kind(cells: list[_Cell], answer: NotebookNode) -> list[_Cell]:
    """Those of the answer's cell type if there are any, else all."""
    return [cell for cell in cells if cell.kind == answer.cell_type] or cells


def _encodable(text: str) -> bool:
    """Whether the text can be sent and compiled at all: no half of a surrogate pair, no NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _parts(written: list[_Cell], stub: str) -> list[_Cell]:
    """Those of several written cells that make the answer, in their order; see the module's text."""
    wanted = _defined(stub)
    defines = [_defined(cell.source) & wanted for cell in written]
    last = max((place for place, names in enumerate(defines) if names), default=len(written) - 1)
    kept, covered = [], set()
    for place in reversed(range(len(written))):
        fresh = defines[place] - covered
        helper = not defines[place] and (place <= last or _HAS_DEFINITION.search(written[place].source))
        if fresh or helper:
            kept.append(written[place])
            covered |= fresh
    return kept[::-1]


_DEFINITION = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE)
_HAS_DEFINITION = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]", re.MULTILINE)


def _defined(source: str) -> set[str]:
    """Names that the source defines at its top level, found by pattern: parsing can crash on hostile text."""
    return {one or two for one, two in _DEFINITION.findall(source)}
