"""A lab's notebook, read into its parts by the metadata of its cells.

An answer cell has nbgrader's `solution`, a check cell its `grade`; every other code cell of a lab
says under our own key what it is for: `setup` comes before the answers and needs none of them,
`show` demonstrates with the answers and is run by the notebook alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.progress import CHECK


class NotebookError(ValueError):
    """A file is no notebook, or two of its cells claim to be the same part; the text says which."""


@dataclass(frozen=True)
class Part:
    """One code cell: what it is called and what stands in it."""

    id: str
    source: str


@dataclass(frozen=True)
class LabNotebook:
    """The code cells of a lab, each kind in the order of the notebook.

    Attributes
    ----------
    setup
        Cells to run before any answer.
    answers
        Exercise id to the source of its answer cell.
    checks
        Exercise id to the points its check cell names.
    shows
        Demonstrations that use the answers.
    others
        Cells without a mark, which a learner has added.
    """

    setup: list[Part] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    shows: list[Part] = field(default_factory=list)
    others: list[Part] = field(default_factory=list)


def read(path: Path) -> LabNotebook:
    """Read a lab or a solution from its file.

    Raises
    ------
    NotebookError
        The file is no notebook, or two cells have the same grade_id.
    """
    try:
        # Bytes, so that a byte order mark or a foreign locale changes nothing.
        notebook = nbformat.reads(path.read_bytes().decode("utf-8-sig"), as_version=4)
    except OSError:
        raise
    except Exception as error:  # nbformat raises whatever the malformed content makes it stumble over
        raise NotebookError(f"{path.name} cannot be read as a notebook: {type(error).__name__}: {error}") from error
    try:
        return parts(notebook)
    except NotebookError as error:
        raise NotebookError(f"{path.name}: {error}") from error


def parts(notebook: NotebookNode) -> LabNotebook:
    """Sort the code cells of a notebook by what they are for.

    Raises
    ------
    NotebookError
        Two cells have the same grade_id, or a check cell has no points.
    """
    found = LabNotebook()
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            _sort(found, cell, f"cell-{number}")
    return found


def _sort(found: LabNotebook, cell: NotebookNode, default_id: str) -> None:
    mark = _mapping(cell.metadata.get("nbgrader"))
    role = _mapping(cell.metadata.get("labkit")).get("role")
    name = str(mark.get("grade_id") or cell.get("id") or default_id)
    if mark.get("solution"):
        _once(found.answers, name, cell.source)
    elif mark.get("grade"):
        if not isinstance(mark.get("points"), int | float):
            raise NotebookError(f"the check cell {name} has no points")
        _once(found.checks, name.removeprefix(CHECK), float(mark["points"]))
    else:
        kind = found.setup if role == "setup" else found.shows if role == "show" else found.others
        kind.append(Part(name, cell.source))


def _once(kept: dict, name: str, value: str | float) -> None:
    if name in kept:
        raise NotebookError(f"two cells have the grade_id {name}")
    kept[name] = value


def _mapping(value: object) -> Mapping:
    return value if isinstance(value, Mapping) else {}
