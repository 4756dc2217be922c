"""labkit.notebook: a lab read into its parts, also where the file is not what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit.notebook import NotebookError, Part, parts, read


def cell(source: str, id_: str, role: str | None = None, **mark: Any) -> nbformat.NotebookNode:
    metadata: dict[str, Any] = {"nbgrader": {"grade_id": id_, "schema_version": 3, **mark}}
    if role:
        metadata["labkit"] = {"role": role}
    return new_code_cell(source, metadata=metadata)


CELLS = [
    new_markdown_cell("A title"),
    cell("import json", "imports", "setup"),
    cell("def double(x): ...", "double", solution=True),
    cell("lab.check('double')", "check-double", grade=True, points=2),
    cell("double(2)", "shown", "show"),
    cell("more = 1", "more", "setup"),
]


def test_cells_are_sorted_in_the_order_of_the_notebook() -> None:
    found = parts(new_notebook(cells=CELLS))
    assert found.setup == [Part("imports", "import json"), Part("more", "more = 1")]
    assert found.answers == {"double": "def double(x): ..."}
    assert found.checks == {"double": 2.0}
    assert found.shows == [Part("shown", "double(2)")]
    assert found.others == []


def test_cells_that_a_learner_adds_are_others() -> None:
    own = [new_code_cell("1 + 1", id="mine"), new_code_cell("2", id="odd", metadata={"labkit": 3})]
    found = parts(new_notebook(cells=[*CELLS, *own]))
    assert [part.id for part in found.others] == ["mine", "odd"]
    assert found.setup == parts(new_notebook(cells=CELLS)).setup


@pytest.mark.parametrize("doubled", [CELLS[2], CELLS[3]], ids=["answer", "check"])
def test_two_cells_of_one_name_are_refused(doubled: nbformat.NotebookNode) -> None:
    again = new_code_cell(doubled.source, metadata=doubled.metadata)
    with pytest.raises(NotebookError, match="two cells have the grade_id double"):
        parts(new_notebook(cells=[*CELLS, again]))


def test_a_check_without_points_is_refused() -> None:
    with pytest.raises(NotebookError, match="check cell check-x has no points"):
        parts(new_notebook(cells=[cell("lab.check('x')", "check-x", grade=True)]))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xfe\x00", b'{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.ipynb").write_bytes(content)
    with pytest.raises(NotebookError, match=r"broken\.ipynb"):
        read(tmp_path / "broken.ipynb")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    text = nbformat.writes(new_notebook(cells=CELLS))
    (tmp_path / "marked.ipynb").write_text(text, encoding="utf-8-sig")
    assert read(tmp_path / "marked.ipynb").answers == {"double": "def double(x): ..."}


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.ipynb")
