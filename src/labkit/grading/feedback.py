"""What a student is handed back: one page with every exercise, what was tried and what came of it.

It shows the reports of the checks as the notebook shows them, so nobody has to learn a second look.
What a report does not hold, the source of a check or a worked answer, cannot stand here.
"""

from __future__ import annotations

from dataclasses import replace
from html import escape

from labkit.display import prose, report_html
from labkit.exercise import CaseReport, Report
from labkit.grading.model import Graded
from labkit.grading.page import fit, number, page, plain

NOTES = 40  # more than that tell a student nothing
CASES = 100


def feedback_html(graded: Graded) -> str:
    """The page for one student.

    Every text is escaped and cut, since a student chooses what comes back from a call and a file's
    name. An exercise without a report is not shown; a submission without reports shows its problem.
    """
    name = fit(graded.student, 200)
    parts = [f"<h1>{plain(graded.lab, 200)}</h1>", f"<p>{escape(name)}</p>"]
    if graded.reports:
        parts.append(f'<p class="score">{number(graded.score)} of {number(graded.points)} points</p>')
    else:
        parts.append('<p class="score">Nothing was graded</p>')
    if graded.problem:
        parts.append(f'<div class="told"><b>This submission has a problem.</b> {prose(fit(graded.problem))}</div>')
    parts += [_notes(graded.notes), _overview(graded.reports)]
    parts += [
        f'<section id="exercise-{place}">{report_html(_bounded(report))}</section>'
        for place, report in enumerate(graded.reports, 1)
    ]
    return page(f"{graded.lab}: {name}", "\n".join([*filter(None, parts), _footer(graded)]))


def _notes(notes: tuple[str, ...]) -> str:
    if not notes:
        return ""
    told = [f"<li>{prose(fit(note))}</li>" for note in notes[:NOTES]]
    if len(notes) > NOTES:
        told.append(f"<li>{len(notes) - NOTES} more of these.</li>")
    return f'<div class="told"><b>About your notebook.</b><ul>{"".join(told)}</ul></div>'


def _overview(reports: tuple[Report, ...]) -> str:
    if not reports:
        return ""
    rows = "".join(
        f'<tr><td><a href="#exercise-{place}">{plain(report.title, 300)}</a></td>'
        f'<td class="whole">{escape(report.outcome)}</td>'
        f'<td class="number">{number(report.score)} of {number(report.points)}</td></tr>'
        for place, report in enumerate(reports, 1)
    )
    head = '<tr><th>exercise</th><th>outcome</th><th class="number">points</th></tr>'
    return f'<table class="list">{head}{rows}</table>'


def _bounded(report: Report) -> Report:
    def short(case: CaseReport) -> CaseReport:
        texts = {name: fit(getattr(case, name)) for name in ("name", "message", "tried", "got", "expected")}
        return replace(case, **texts)

    cases = [short(case) for case in report.cases[:CASES]]
    return replace(
        report, title=fit(report.title, 300), message=fit(report.message), hint=fit(report.hint), cases=cases
    )


def _footer(graded: Graded) -> str:
    level = f"isolation: {plain(graded.isolation, 60)}" if graded.isolation else "nothing was run"
    digest = f" · SHA-256 of what was graded: <code>{plain(graded.sha256, 64)}</code>" if graded.sha256 else ""
    return f"<footer>Graded from <code>{plain(graded.origin, 300)}</code> · {level}{digest}</footer>"
