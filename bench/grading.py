"""What grading a class costs: nbgrader, otter and labkit on the same submissions, one after the other.

    make bench-grading
    make bench-grading ARGS="--submissions 6 --many 300"    a short trial

Prints one table and writes bench/grading.json. Run it when the machine has nothing else to do.

Each row is one grader on one class: a lab of the course or a light lab whose answers cost nothing,
with right, wrong and missing answers mixed. The row `answers alone` runs the same cells and checks
in one process without isolation; the overhead of labkit is what it takes above that. A class of one
tells what the start costs. CPU seconds hold everything that a grader starts, its start included;
memory is that of all its processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import psutil

from bench.graders.classes import FOLDER, LIGHT, Graded, class_of, varied
from bench.graders.measure import Cost, Failed, run
from bench.pages import write_pages
from labkit.environment import ROOT, child_environ
from labkit.notebook import parts
from tests.nbgrader_environment import LOCK, Course, environ_of, environment

HEAVY = "lab01_save_once"
CORES = 2
LIMIT_S = 3600.0
FEW = 30
ONE, TWO, ALONE, NBGRADER, OTTER = (
    "labkit, 1 worker",
    "labkit, 2 workers",
    "answers alone",
    "nbgrader autograde",
    "otter run",
)
OTTER_LOCK = "bench/requirements-otter.lock"
Scores = dict[str, dict[str, float]]


@dataclass
class Row:
    """One grader on one class. What could not be measured is None, and `note` says why."""

    grader: str
    lab: str
    submissions: int
    submissions_per_minute: float | None = None
    cpu_s_each: float | None = None
    peak_mb: float | None = None
    scores_equal: bool | None = None
    seconds: float | None = None
    note: str = ""

    @classmethod
    def of(cls, grader: str, lab: str, submissions: int, cost: Cost, note: str = "") -> Row:
        each = round(cost.cpu_s / submissions, 3)
        rate = round(60 * submissions / cost.seconds, 1)
        seconds = round(cost.seconds, 1)
        return cls(grader, lab, submissions, rate, each, round(cost.peak_mb), seconds=seconds, note=note)

    def compare(self, scores: Scores, wanted: Scores) -> Row:
        """Note whether the scores are those of labkit, and where not, of how many submissions."""
        other = [student for student in wanted if scores.get(student) != wanted[student]]
        self.scores_equal = not other
        if other:
            self.note = f"{len(other)} of {len(wanted)} submissions score otherwise: {', '.join(other[:3])}"
        return self


class Bench:
    """The measurements, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "log.txt"

    def here(self, found: Graded, submitted: Path, how: str, name: str) -> tuple[Cost, Scores]:
        """labkit with so many workers, or `plain`."""
        out = self.folder / f"{found.lab}-{name}-{how}"
        command = [sys.executable, "-m", "bench.graders.with_labkit", found.lab, str(submitted), str(out), how]
        environ = {**child_environ(), "LABKIT_HOME": str(self.folder / "home")}
        cost = run([command], ROOT, environ, self._log, LIMIT_S)
        scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
        shutil.rmtree(out)
        return cost, scores

    def compared(self, lab: str, count: int) -> Iterator[Row]:
        """Every grader on one class."""
        found = class_of(lab)
        students = found.mixed(count)
        submitted = self.folder / lab / "submitted"
        found.hand_in(submitted, students)
        cost, wanted = self.here(found, submitted, "1", "class")
        yield Row.of(ONE, lab, count, cost).compare(wanted, wanted)
        cost, scores = self.here(found, submitted, "2", "class")
        yield Row.of(TWO, lab, count, cost).compare(scores, wanted)
        cost, scores = self.here(found, submitted, "plain", "class")
        yield Row.of(ALONE, lab, count, cost).compare(scores, wanted)
        first = self.folder / lab / "first"
        shutil.copytree(submitted / next(iter(students)), first / next(iter(students)))
        for how, grader in (("1", ONE), ("plain", ALONE)):
            cost, scores = self.here(found, first, how, "first")
            yield Row.of(grader, lab, 1, cost).compare(scores, {name: wanted[name] for name in scores})
        yield self.nbgrader(found, submitted, wanted)
        yield self.otter(found, wanted)

    def nbgrader(self, found: Graded, submitted: Path, wanted: Scores) -> Row:
        made = environment()
        name = NBGRADER
        if made.python is None:
            return Row(name, found.lab, len(wanted), note=made.reason)
        course = Course(self.folder / found.lab / "nbgrader", made.python, {"PYTHONPATH": str(ROOT)})
        course.add(found.lab, found.solution)
        shutil.copytree(submitted, course.submitted)
        try:
            command = course.command("autograde", found.lab)
            cost = run([command], course.folder, course.environ(), self._log, LIMIT_S)
        except Failed as failed:
            return Row(name, found.lab, len(wanted), note=str(failed))
        return Row.of(name, found.lab, len(wanted), cost).compare(course.scores(found.lab), wanted)

    def otter(self, found: Graded, wanted: Scores) -> Row:
        """`otter run` on each submission; its form of the lab has no check cells, its tests stand in files."""
        name = OTTER
        if found.lab != LIGHT:
            why = "does not apply: its tests are doctests in the learner's kernel, this lab's checks drive the answer"
            return Row(name, found.lab, len(wanted), note=why)
        made = environment(".venv-otter", OTTER_LOCK)
        if made.python is None:
            return Row(name, found.lab, len(wanted), note=made.reason)
        folder = self.folder / "otter"
        folder.mkdir()
        otter = [str(made.python), "-m", "otter"]
        environ = environ_of(made.python, folder / "home")
        tests = str(FOLDER / "otter")
        zipped = folder / "autograder.zip"
        generate = [*otter, "generate", "-t", tests, "-o", str(zipped), "--no-config", "--no-requirements"]
        commands = []
        for student, sources in found.mixed(len(wanted)).items():
            (folder / student).mkdir()
            notebook = found.notebook(sources)
            notebook.cells = [cell for cell in notebook.cells if not cell.metadata.nbgrader.grade]
            path = folder / student / f"{found.lab}.ipynb"
            nbformat.write(notebook, path)
            commands.append([*otter, "run", "-a", str(zipped), "-o", str(path.parent), "--no-logo", str(path)])
        try:
            run([[*generate, "--no-environment"]], folder, environ, self._log, LIMIT_S)
            cost = run(commands, folder, environ, self._log, LIMIT_S)
        except Failed as failed:
            return Row(name, found.lab, len(wanted), note=str(failed))
        scores = {student: _otter_scores(folder / student / "results.json", found) for student in wanted}
        return Row.of(name, found.lab, len(wanted), cost).compare(scores, wanted)

    def many(self, count: int) -> Row:
        """A large class of the light lab: a few students' answers, in each a line that makes it another."""
        found = class_of(LIGHT)
        submitted = self.folder / f"many-{count}"
        students, wanted = varied(found.mixed(FEW), count)
        found.hand_in(submitted, students)
        cost, scores = self.here(found, submitted, "2", f"many-{count}")
        first: Scores = {}
        expected = {student: first.setdefault(few, scores[student]) for student, few in wanted.items()}
        return Row.of(TWO, LIGHT, count, cost).compare(scores, expected)


def _otter_scores(path: Path, found: Graded) -> dict[str, float]:
    """Exercise to score; otter names a test file's cases after the file."""
    tests = json.loads(path.read_text(encoding="utf-8"))["tests"]
    scores = dict.fromkeys(parts(found.release).answers, 0.0)
    for test in tests:
        exercise = test["name"].split(" ")[0]
        if exercise in scores:
            scores[exercise] += test.get("score", 0.0)
    return {exercise: round(score, 2) for exercise, score in scores.items()}


def table(rows: list[Row]) -> str:
    heads = ["grader", "lab", "submissions", "a minute", "CPU s each", "peak MB", "scores equal", "note"]
    lines = [
        [
            row.grader,
            row.lab,
            f"{row.submissions:,}",
            *("-" if value is None else f"{value:,}" for value in (row.submissions_per_minute, row.cpu_s_each)),
            "-" if row.peak_mb is None else f"{row.peak_mb:,}",
            {True: "yes", False: "no", None: "-"}[row.scores_equal],
            row.note,
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads) - 1)]
    texts = []
    for line in [heads, *lines]:
        padded = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line[:-1], widths, strict=True))
        ]
        texts.append("  ".join([*padded, line[-1]]).rstrip())
    return "\n".join(texts)


def summary(rows: list[Row], count: int) -> dict[str, float]:
    """What the rows say of the targets; `count` is the size of the classes that all graders graded."""
    found = {(row.grader, row.lab, row.submissions): row for row in rows if row.seconds}
    told = {}
    for lab in (HEAVY, LIGHT):
        two, theirs = found.get((TWO, lab, count)), found.get((NBGRADER, lab, count))
        if two and theirs:
            told[f"{lab}: times nbgrader"] = round(two.submissions_per_minute / theirs.submissions_per_minute, 1)
        ours, alone = ({n: found[grader, lab, n].cpu_s_each * n for n in (1, count)} for grader in (ONE, ALONE))
        told[f"{lab}: CPU s of overhead each, the start included"] = round((ours[count] - alone[count]) / count, 3)
        if count > 1:
            further = (ours[count] - ours[1] - alone[count] + alone[1]) / (count - 1)
            told[f"{lab}: CPU s of overhead each after the first"] = round(further, 3)
    return told


def machine() -> dict[str, object]:
    """What the figures depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
        "nbgrader": _pinned(LOCK, "nbgrader"),
        "otter-grader": _pinned(OTTER_LOCK, "otter-grader"),
    }


def _pinned(lock: str, name: str) -> str:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{name}=="))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.grading", description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=30, help="of each lab, for every grader (default 30)")
    parser.add_argument("--many", type=int, default=3000, help="of the light lab, for labkit alone (default 3000)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, as by Ctrl-C
    told = machine()
    if told["load_before"] > 0.5:
        print(f"the machine is at work already (load {told['load_before']}): what follows is slower than it would be")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-grading-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder).resolve())
        for lab in (LIGHT, HEAVY):
            for row in bench.compared(lab, options.submissions):
                rows.append(row)
                print(f"{row.grader}, {row.lab}: {row.seconds or '-'} s", file=sys.stderr, flush=True)
        for count in sorted({min(options.many, 300), options.many}):
            rows.append(bench.many(count))
            print(f"{count} submissions: {rows[-1].seconds} s", file=sys.stderr, flush=True)
    print(table(rows))
    for what, value in summary(rows, options.submissions).items():
        print(f"{what}: {value}")
    result = {"machine": told, "rows": [asdict(row) for row in rows], "summary": summary(rows, options.submissions)}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8", newline="\n")
    if options.out == Path(__file__).with_suffix(".json"):
        write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
