"""What a learner has done so far: one small JSON file, a table and a picture of it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import places

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from labkit.exercise import Report

CHECK = "check-"  # a check cell's grade_id is this and the exercise's id


@dataclass
class Standing:
    """How one exercise stands: last outcome, best score, checks run, hints seen."""

    outcome: str = "not attempted"
    best: float = 0.0
    points: float = 0.0
    attempts: int = 0
    hints: int = 0


class Progress:
    """The learner's record, read when made and written after every change."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or places.records()) / "progress.json"
        self._standings = self._read()

    def _read(self) -> dict[str, dict[str, Standing]]:
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            return {lab: {id_: Standing(**kept) for id_, kept in exercises.items()} for lab, exercises in raw.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError):
            aside = self.path.with_suffix(".broken")
            self.path.replace(aside)
            print(f"The record of your progress could not be read; it is kept as {aside.name} and a new one begins.")
            return {}

    def _write(self) -> None:
        text = json.dumps(
            {lab: {id_: asdict(s) for id_, s in kept.items()} for lab, kept in self._standings.items()}, indent=1
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved over, so that a crash leaves the old record or the new one.
        handle, name = tempfile.mkstemp(dir=self.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(self.path)

    def of(self, lab: str, exercise: str) -> Standing:
        """How one exercise stands; a fresh Standing if it was never tried."""
        return self._standings.get(lab, {}).get(exercise, Standing())

    def record(self, lab: str, report: Report) -> Standing:
        """Note the report of a check."""
        standing = self.of(lab, report.exercise)
        standing.outcome, standing.points = report.outcome, report.points
        standing.best = max(standing.best, report.score)
        if report.outcome != "not attempted":
            standing.attempts += 1
        return self._keep(lab, report.exercise, standing)

    def next_hint(self, lab: str, exercise: str, available: int) -> int:
        """Count one more hint as seen; gives its index, the last one again when all were seen."""
        standing = self.of(lab, exercise)
        standing.hints = min(standing.hints + 1, available)
        self._keep(lab, exercise, standing)
        return standing.hints - 1

    def _keep(self, lab: str, exercise: str, standing: Standing) -> Standing:
        self._standings.setdefault(lab, {})[exercise] = standing
        self._write()
        return standing


def offered(root: Path) -> dict[str, dict[str, float]]:
    """Every lab in `root`/labs with its exercises and their points, in the order of the notebook."""
    import nbformat  # a third of a second, which no check and no grader's worker needs to wait for

    found = {}
    for path in sorted(root.glob("labs/*/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
        checks = [mark for mark in marks if mark.get("grade") and mark["grade_id"].startswith(CHECK)]
        found[path.stem] = {mark["grade_id"].removeprefix(CHECK): float(mark["points"]) for mark in checks}
    return found


def table(root: Path, progress: Progress) -> str:
    """The progress as lines of text: each lab with its points, each exercise with its outcome."""
    lines = []
    for lab, exercises in offered(root).items():
        best = sum(progress.of(lab, exercise).best for exercise in exercises)
        lines.append(f"{lab}  {best:g} of {sum(exercises.values()):g} points")
        for exercise in exercises:
            standing = progress.of(lab, exercise)
            tries = f"{standing.attempts} checks, {standing.hints} hints" if standing.attempts else ""
            lines.append(f"  {exercise:<20}{standing.outcome:<15}{tries}".rstrip())
    return "\n".join(lines)


def picture(root: Path, progress: Progress) -> Figure:
    """The progress as a picture: a row for each lab, a field for each exercise, marked by outcome."""
    from matplotlib.figure import Figure

    labs = offered(root)
    looks = {
        "correct": ("#009e73", "✓"),
        "incorrect": ("#e69f00", "✗"),
        "not all tried": ("#56b4e9", "–"),
        "not attempted": ("#d9d9d9", ""),
    }
    figure = Figure(figsize=(8, 0.8 + 0.6 * len(labs)), layout="constrained")
    axes = figure.add_subplot()
    for row, (lab, exercises) in enumerate(labs.items()):
        for column, exercise in enumerate(exercises):
            colour, mark = looks[progress.of(lab, exercise).outcome]
            axes.barh(row, 0.94, left=column, height=0.7, color=colour)
            axes.text(column + 0.47, row, f"{exercise}\n{mark}".strip(), ha="center", va="center", fontsize=8)
    done = sum(progress.of(lab, exercise).outcome == "correct" for lab, kept in labs.items() for exercise in kept)
    axes.set_title(f"{done} of {sum(map(len, labs.values()))} exercises correct", loc="left")
    axes.set_yticks(range(len(labs)), [lab.split("_", 1)[0] for lab in labs])
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure
