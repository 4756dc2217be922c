"""How a report looks in a notebook: plain HTML that reads well in light and dark themes."""

from __future__ import annotations

import re
from html import escape

from labkit.exercise import CaseReport, Report

# A colour that reads on white and on black, then JupyterLab's own for its theme. A notebook that
# is not trusted yet is shown sanitised: that keeps the first and drops the second.
COLOURS = {
    "correct": ("#388e3c", "--jp-success-color1"),
    "incorrect": ("#c75b00", "--jp-warn-color1"),
    "not all tried": ("#1976d2", "--jp-info-color1"),
    "not attempted": ("#1976d2", "--jp-info-color1"),
}
MARKS = {"passed": "✓", "failed": "✗", "not tried": "–"}  # a mark beside the colour, for eyes that see none


def prose(text: str) -> str:
    """Escaped text; `code` in backticks becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _row(name: str, text: str) -> str:
    cells = f'<td style="text-align:left;vertical-align:top;opacity:.75;white-space:nowrap">{name}</td>'
    return (
        f'<tr>{cells}<td style="text-align:left"><code style="white-space:pre-wrap">{escape(text)}</code></td></tr>'
        if text
        else ""
    )


def _case(case: CaseReport, shown: set[tuple[str, str]]) -> str:
    """One case. What was `shown` for an earlier case, the same message and value, is not shown again."""
    line = f"<div>{MARKS[case.state]} {prose(case.name)}</div>"
    if case.state == "passed":
        return line
    if (case.message, case.got) in shown:
        return f'{line}<div style="margin-left:1.4em">The same as above.</div>'
    shown.add((case.message, case.got))
    rows = _row("tried", case.tried) + _row("came back", case.got) + _row("expected", case.expected)
    table = f'<table style="margin:.2em 0 .4em 1.2em">{rows}</table>' if rows else ""
    return f'{line}<div style="margin-left:1.4em">{prose(case.message)}</div>{table}'


def report_html(report: Report) -> str:
    """The report as one HTML block: outcome and score, then each case, then the hint."""
    fixed, themed = COLOURS[report.outcome]
    colours = (fixed, f"var({themed}, {fixed})")
    ink = ";".join(f"color:{colour}" for colour in colours)
    edge = ";".join(f"border-left:4px solid {colour}" for colour in colours)
    score = f" · {report.score:g} of {report.points:g} points" if report.outcome != "not attempted" else ""
    head = f'<b style="{ink}">{report.outcome}</b>{score} · {escape(report.title)}'
    parts = [f"<div>{prose(report.message)}</div>"] if report.message else []
    shown: set[tuple[str, str]] = set()
    parts += [_case(case, shown) for case in report.cases]
    if report.hint:
        parts.append(f'<div style="margin-top:.5em"><b>Hint.</b> {prose(report.hint)}</div>')
    return f'<div style="{edge};padding:.3em .8em"><div>{head}</div>{"".join(parts)}</div>'
