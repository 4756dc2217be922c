"""Labs out of solutions: the release notebook that nbgrader would make of the same source.

The steps are those of nbgrader 0.9's `generate_assignment` with its defaults: lock the cells,
put stubs in place of solutions, clear outputs, note a checksum in each marked cell.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

CODE_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
TEXT_STUB = "YOUR ANSWER HERE"


class BuildError(ValueError):
    """A solution notebook cannot become a lab; the text names the notebook and the cell."""


def mark(cell: NotebookNode) -> dict:
    """The cell's nbgrader metadata, or an empty dict."""
    return cell.metadata.get("nbgrader", {})


def _regions(source: str, begin: str, end: str, stub: str | None) -> tuple[str, bool]:
    """The source with each region between the marks replaced by the stub, and whether there was one."""
    kept: list[str] = []
    inside = replaced = False
    for line in source.split("\n"):
        if begin in line:
            if inside:
                raise BuildError(f"a {begin} stands inside another")
            inside = replaced = True
            indent = re.match(r"\s*", line).group()
            kept += [indent + part for part in stub.split("\n")] if stub else []
        elif end in line:
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise BuildError(f"a {begin} has no {end}")
    return "\n".join(kept), replaced


def _without_solution(cell: NotebookNode) -> str:
    stub = CODE_STUB if cell.cell_type == "code" else TEXT_STUB
    source, replaced = _regions(cell.source, "BEGIN SOLUTION", "END SOLUTION", stub)
    answer = mark(cell).get("solution", False)
    if replaced and not answer:
        raise BuildError("a solution stands in a cell that is not marked as an answer")
    return stub if answer and not replaced else source


def _locked(cell: NotebookNode) -> bool:
    grade, solution, locked = (mark(cell).get(key, False) for key in ("grade", "solution", "locked"))
    return not solution and (grade or locked)


def checksum(cell: NotebookNode) -> str:
    """nbgrader's checksum of a marked cell (MD5 in hex over source, type, marks, id and points)."""
    grade, solution = mark(cell).get("grade", False), mark(cell).get("solution", False)
    parts = [cell.source, cell.cell_type, str(grade), str(solution), str(_locked(cell)), mark(cell)["grade_id"]]
    if grade:
        parts.append(str(float(mark(cell)["points"])))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def _check_marks(notebook: NotebookNode) -> None:
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        found = mark(cell)
        if not found.get("grade_id"):
            raise BuildError(f"cell {number} has no grade_id")
        if found.get("schema_version") != 3:
            raise BuildError(f"cell {found['grade_id']} is not of nbgrader's metadata schema 3")
        if found["grade_id"] in seen:
            raise BuildError(f"two cells have the grade_id {found['grade_id']}")
        if found.get("grade") and "points" not in found:
            raise BuildError(f"cell {found['grade_id']} is graded and has no points")
        seen.add(found["grade_id"])


def release(source: NotebookNode) -> NotebookNode:
    """The lab that learners get of a solution notebook; the source is left as it is.

    Raises
    ------
    BuildError
        A cell lacks its marks, or a solution region is not closed or stands in the wrong cell.
    """
    _check_marks(source)
    notebook = copy.deepcopy(source)
    notebook.metadata.pop("celltoolbar", None)
    for cell in notebook.cells:
        found = mark(cell)
        try:
            cell.source = _without_solution(cell)
            cell.source, _ = _regions(cell.source, "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", None)
        except BuildError as error:
            raise BuildError(f"cell {found['grade_id']}: {error}") from error
        if found.get("solution") or found.get("grade") or _locked(cell):
            cell.metadata["deletable"] = False
        if _locked(cell):
            cell.metadata["editable"] = False
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            for name in ("collapsed", "scrolled"):
                cell.metadata.pop(name, None)
            cell.metadata.pop("execution", None)
        if found.get("solution") or found.get("grade") or _locked(cell):
            found["checksum"], found["cell_type"] = checksum(cell), cell.cell_type
    return notebook


def _labs(root: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(root.glob("solutions/*/*.ipynb")):
        if path.stem != path.parent.name:
            raise BuildError(f"{path.relative_to(root)}: the notebook must be named as its folder")
        try:
            text = nbformat.writes(release(nbformat.read(path, as_version=4))) + "\n"
        except BuildError as error:
            raise BuildError(f"{path.relative_to(root)}: {error}") from error
        yield root / "labs" / path.parent.name / path.name, text


def build(root: Path) -> list[Path]:
    """Write labs/ out of solutions/; gives the files that changed."""
    changed = []
    for path, text in _labs(root):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed


def differences(root: Path) -> list[str]:
    """What `build` would change, as unified diffs, and labs that have no solution; empty if nothing."""
    found, expected = [], set()
    for path, text in _labs(root):
        expected.add(path)
        name = path.relative_to(root).as_posix()
        have = path.read_text(encoding="utf-8") if path.exists() else ""
        if have != text:
            lines = difflib.unified_diff(
                have.splitlines(), text.splitlines(), name, f"{name} (built)", lineterm="", n=1
            )
            found.append("\n".join(lines))
    extra = set(root.glob("labs/*/*.ipynb")) - expected
    return found + [f"{path.relative_to(root).as_posix()} has no solution it could come from" for path in sorted(extra)]
