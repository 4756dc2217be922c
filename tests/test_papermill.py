"""Every lesson runs through papermill's API with a second, smaller set of parameters.

The run is from another folder, must execute every cell, leave nothing behind, and then satisfy
tests/plots/LESSON.py, code that runs as a last cell and asserts the data behind the lesson's plots.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.inspection import inspect_notebook

from .notebooks import LESSONS, ROOT, names

SMALLER = json.loads((ROOT / "tests" / "papermill_parameters.json").read_text(encoding="utf-8"))


def with_assertions(path: Path, folder: Path) -> Path:
    """A copy of the lesson whose last cell asserts what its plots show."""
    notebook = nbformat.read(path, as_version=4)
    asserted = ROOT / "tests" / "plots" / path.name.replace(".ipynb", ".py")
    if asserted.exists():
        notebook.cells.append(nbformat.v4.new_code_cell(asserted.read_text(encoding="utf-8")))
    copy = folder / path.name
    nbformat.write(notebook, copy)
    return copy


def names_in(folder: Path) -> set[str]:
    return {found.name for found in folder.iterdir()} - {".ipynb_checkpoints"}


@pytest.mark.parametrize("path", LESSONS, ids=names(LESSONS))
def test_lesson_runs_with_other_parameters(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = SMALLER[path.stem]
    known = set(inspect_notebook(str(path)))
    assert set(parameters) <= known, (
        f"{path.name} has no parameter {set(parameters) - known}; papermill would only warn"
    )
    scratch, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    scratch.mkdir(), elsewhere.mkdir()
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = names_in(path.parent)

    done = papermill.execute_notebook(
        str(with_assertions(path, tmp_path)),
        str(tmp_path / "out.ipynb"),
        parameters=parameters,
        kernel_name="python3",
        cwd=str(elsewhere),
        progress_bar=False,
        execution_timeout=300,
    )

    code = [cell for cell in done.cells if cell.cell_type == "code" and cell.source.strip()]
    idle = [cell.id for cell in code if cell.execution_count is None or cell.metadata.papermill.status != "completed"]
    assert not idle, f"these cells did not run to their end: {idle}"
    assert not list(elsewhere.iterdir()), "the lesson left files in the folder it was run from"
    left = [found.name for found in scratch.iterdir()]
    assert not left, f"the lesson left temporary files behind: {left}"
    assert names_in(path.parent) == before
