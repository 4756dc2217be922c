"""The stored outputs are really compared: a changed one fails, under the options that `make test` uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .notebooks import ROOT


def stored(text: str) -> nbformat.NotebookNode:
    cell = new_code_cell("print(1 + 1)", id="sum", execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text=text)]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return new_notebook(cells=[cell], metadata=kernel)


def run(path: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", "-n0"]
    return subprocess.run([*command, *options, str(path)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [("2\n", [], 0), ("3\n", [], 1), ("", [], 1), ("3\n", ["--nbval-lax"], 0)],
    ids=["as stored", "changed", "removed", "changed, lax"],
)
def test_a_changed_output_fails(tmp_path: Path, text: str, options: list[str], code: int) -> None:
    path = tmp_path / "small.ipynb"
    notebook = stored(text)
    if not text:
        notebook.cells[0].outputs = []
    nbformat.write(notebook, path)
    done = run(path, *options)
    assert done.returncode == code, done.stdout + done.stderr
