"""Where the course and the learner's own records lie."""

from __future__ import annotations

import os
from pathlib import Path


def course_root(start: Path | None = None) -> Path | None:
    """The folder of the course that holds `start` (default: the current folder), or None outside one."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "labs").is_dir() and (folder / "environment.yml").is_file():
            return folder
    return None


def records() -> Path:
    """The folder of the learner's progress: LABKIT_HOME, else `.labkit` in the course, else in the home folder."""
    if named := os.environ.get("LABKIT_HOME"):
        return Path(named)
    return (course_root() or Path.home()) / ".labkit"


def solution_path(lab: str) -> Path | None:
    """The solution notebook of a lab, where this copy of the course has one."""
    root = course_root()
    path = root / "solutions" / lab / f"{lab}.ipynb" if root else None
    return path if path and path.is_file() else None
