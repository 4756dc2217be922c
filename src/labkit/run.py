"""Run a notebook from top to bottom in a fresh kernel and store what it printed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

MINUTES = 10


def run(path: Path) -> NotebookNode:
    """Execute every cell and write the notebook back with its outputs.

    The run is that of a reader who has done nothing yet: progress is kept in a folder of its own.
    Nothing is written if a cell fails.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell raised; the message shows the cell.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, LABKIT_HOME=home):
        place = {"metadata": {"path": str(path.resolve().parent)}}
        NotebookClient(notebook, timeout=60 * MINUTES, kernel_name="python3", resources=place).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # the version is that of whoever ran it
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # start and end of each cell
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    nbformat.write(notebook, path)
    return notebook


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Pieces of one stream as one output; how print was cut up differs from run to run."""
    kept: list[NotebookNode] = []
    for output in outputs:
        last = kept[-1] if kept else None
        same = last is not None and output.output_type == last.output_type == "stream" and output.name == last.name
        if same:
            last.text += output.text
        else:
            kept.append(output)
    return kept
