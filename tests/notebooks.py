"""What the tests read off notebooks: files, cells, tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted(ROOT.glob("notebooks/*.ipynb"))
SOLUTIONS = sorted(ROOT.glob("solutions/*/*.ipynb"))
LABS = sorted(ROOT.glob("labs/*/*.ipynb"))
UNCOMPARED = {"nbval-ignore-output", "nbval-skip"}


@dataclass(frozen=True)
class Cell:
    """A cell and how a test names it: file and cell id."""

    path: Path
    node: NotebookNode

    @property
    def where(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()} [{self.node.id}]"

    @property
    def source(self) -> str:
        return self.node.source

    @property
    def tags(self) -> set[str]:
        return set(self.node.metadata.get("tags", []))

    @property
    def compared(self) -> bool:
        return not self.tags & UNCOMPARED


def cells(path: Path, kind: str | None = None) -> list[Cell]:
    """The cells of a notebook, of one kind ("code", "markdown") or all; empty code cells too."""
    found = nbformat.read(path, as_version=4).cells
    return [Cell(path, node) for node in found if kind in (None, node.cell_type)]


def names(paths: list[Path]) -> list[str]:
    """Short test ids."""
    return [path.stem for path in paths]
