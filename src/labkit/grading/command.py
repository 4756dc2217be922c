"""`labkit grade`: from a folder of submissions to gradebook, feedback and class page."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from labkit.grading import batch
from labkit.grading.classpage import class_html
from labkit.grading.exports import canvas_csv, into_nbgrader, moodle_csv, read_roster
from labkit.grading.feedback import feedback_html
from labkit.grading.grader import LessIsolation
from labkit.grading.isolation import Limits, strongest
from labkit.grading.model import Graded
from labkit.grading.remote import IsolationFailed, SetupFailed
from labkit.grading.results import from_json, write_gradebook, write_whole
from labkit.grading.submissions import file_name, find

MAY_BE_ALLOWED = ("engine",)  # an option of this name lets cases use it: see `Answer.allows`
WITH_MORE_S = 1_200.0  # for a submission whose cases build and run; each of those has a limit of its own


def grade_command(root: Path, options: argparse.Namespace) -> int:
    """Grade and write; returns 0, 1 for what cannot be graded at all, 130 when it was interrupted."""
    level, why = strongest()
    if options.require_isolation and level != "namespaces":
        return _refuse(f"this machine allows only the isolation level {level}: {why}")
    print(f"isolation: {level}" + (f" ({why})" if why else ""))
    try:
        assignment = batch.Assignment.of(root, options.lab)
        submissions = find(options.submissions, options.lab)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    if not submissions:
        return _refuse(f"{options.submissions} holds no submission of {options.lab}")
    allowed = tuple(what for what in MAY_BE_ALLOWED if getattr(options, what))
    workers = batch.cluster(options.scheduler) if options.scheduler else batch.here(max(1, options.workers))
    try:
        graded = batch.grade(
            assignment,
            submissions,
            assignment.order(options.seed, level, Limits(total_s=WITH_MORE_S) if allowed else Limits(), allowed),
            batch.Cache(options.out / "cache"),
            workers,
        )
    except KeyboardInterrupt:
        print("\nlabkit: stopped; the same command goes on with what is left", file=sys.stderr)
        return 130
    except (SetupFailed, IsolationFailed, LessIsolation) as error:
        return _refuse(str(error))
    write_all(graded, options.out)
    _tell(graded, options.out)
    return 0


def write_all(graded: Sequence[Graded], out: Path) -> None:
    """Gradebook, a page for each student in feedback/, and the class page."""
    write_gradebook(graded, out)
    feedback = out / "feedback"
    feedback.mkdir(parents=True, exist_ok=True)
    for one in graded:
        write_whole(feedback / f"{file_name(one.student)}.html", feedback_html(one).encode())
    write_whole(out / "class.html", class_html(graded).encode())


def _tell(graded: Sequence[Graded], out: Path) -> None:
    outcomes = Counter(report.outcome for one in graded for report in one.reports)
    problems = [one for one in graded if one.problem]
    print(f"{len(graded)} submissions, {len(problems)} of them could not be graded")
    print(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    untried = Counter(
        case.message for one in graded for report in one.reports for case in report.cases if case.state == "not tried"
    )
    for reason, count in untried.most_common(5):
        print(f"{count} cases earned nothing. {reason}")
    for one in problems[:10]:
        print(f"  {one.student}: {one.problem}")
    print(f"gradebook.csv, gradebook.json, class.html and feedback/ are in {out}")


def _refuse(message: str) -> int:
    print(f"labkit: {message}", file=sys.stderr)
    return 1


def export_command(options: argparse.Namespace) -> int:
    """Turn gradebook.json into what an LMS or nbgrader takes; returns 0, or 1 with a line that says why not."""
    try:
        kept = json.loads(options.gradebook.read_text(encoding="utf-8"))
        graded = [from_json(row) for row in kept["submissions"]]
        if options.to == "nbgrader":
            count = into_nbgrader(graded, options.out)
            print(f"{count} submissions are in {options.out}")
            return 0
        roster = read_roster(options.roster, options.key) if options.roster else None
        made = moodle_csv(graded, roster) if options.to == "moodle" else canvas_csv(graded, roster)
        write_whole(Path(options.out), made.text.encode())
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        return _refuse(str(error))
    for left in made.left_out:
        print(f"left out: {left.student}: {left.reason}")
    print(f"{options.out} is written")
    return 0
