"""The house in order: which part may use which, links that lead somewhere, no large or stray files."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from .notebooks import LABS, LESSONS, ROOT, SOLUTIONS

# Each part and the parts of the course it may import.
ARROWS = {
    "service/src/flight_delays": set(),
    "src/labkit": set(),
    "src/lessonkit": {"flight_delays"},
    "src/checks": {"labkit", "lessonkit", "flight_delays"},
}
PARTS = {"flight_delays", "labkit", "lessonkit", "checks"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("part", ARROWS)
def test_arrows_point_one_way(part: str) -> None:
    own = Path(part).name
    for path in (ROOT / part).rglob("*.py"):
        wrong = (imported(path) & PARTS) - ARROWS[part] - {own}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_labkit_names_no_lab() -> None:
    for path in (ROOT / "src" / "labkit").glob("*.py"):
        code = ast.parse(path.read_text(encoding="utf-8"))
        texts = [
            node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        docs = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(code)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        named = [text for text in texts if text not in docs and re.search(r"lab\d\d_[a-z]", text)]
        assert not named, f"{path.name}: {named}"


def tracked() -> list[Path]:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this copy of the course is not a git checkout, so there is no list of its files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_no_file_is_over_5_mb_and_none_holds_a_path_of_a_machine() -> None:
    private = re.compile(rb"/(root|home|Users)/[a-z][\w.-]*/|/work/(main|shared)|/tmp/[\w-]+/")
    for path in tracked():
        content = path.read_bytes()
        assert len(content) < 5_000_000, path
        if path.suffix in {".py", ".md", ".ipynb", ".yml", ".toml", ".json", ".cfg"} and path.name != "test_house.py":
            found = private.search(content)
            assert not found, f"{path.relative_to(ROOT)}: {found.group()}"


def prose() -> list[tuple[Path, str]]:
    pages = [
        (path, path.read_text(encoding="utf-8"))
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    for path in LESSONS + SOLUTIONS + LABS:
        cells = nbformat.read(path, as_version=4).cells
        pages.append((path, "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")))
    return pages


def test_relative_links_and_pictures_lead_somewhere() -> None:
    broken = []
    for path, text in prose():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target) and not (path.parent / target.split("#")[0]).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken, broken
