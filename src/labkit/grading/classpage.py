"""How a class did, on one page: scores, exercises, the commonest wrong answers, problems, time."""

from __future__ import annotations

import io
import textwrap
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.display import prose
from labkit.grading.model import Graded
from labkit.grading.page import fit, number, page, plain
from labkit.grading.results import in_order, points_of

# Okabe and Ito's colours (jfly.uni-koeln.de/color); the hatching tells them apart on a grey print.
BLUE, INK = "#0072b2", "#1b1f24"
OUTCOMES = {
    "correct": ("#009e73", ""),
    "incorrect": ("#e69f00", "//"),
    "not all tried": ("#56b4e9", "--"),
    "not attempted": ("#d9d9d9", ".."),
}
STYLE = {
    "font.size": 10,
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,
    "svg.hashsalt": "labkit",  # or the same picture would be another file each time
}
WRONG, CASES, NAMED, PROBLEMS = 30, 2, 5, 200  # rows of the two lists; cases and students named in a row


@dataclass
class Tally:
    """One exercise over all submissions."""

    title: str
    points: float
    got: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        there = self.points * self.outcomes.total()
        return 100 * self.got / there if there else 0.0


@dataclass
class Mistake:
    """One message of one exercise: who got it, in which cases, and what came back."""

    students: dict[str, None] = field(default_factory=dict)  # in order, each once
    cases: dict[str, None] = field(default_factory=dict)
    got: Counter[str] = field(default_factory=Counter)

    @property
    def example(self) -> str:
        return min(self.got.items(), key=lambda item: (-item[1], item[0]))[0] if self.got else ""


def class_html(graded: Sequence[Graded]) -> str:
    """One self-contained page about the submissions of one lab; its size does not grow with their number.

    A submission without reports, one that could not be read, counts among the problems and in no
    plot. "The class" is those that were graded.
    """
    rows = in_order(graded)
    labs = ", ".join(sorted({one.lab for one in rows})) or "No lab"
    judged = [one for one in rows if one.reports]
    tallies = _tallies(judged)
    parts = [f"<h1>{plain(labs, 300)}: how the class did</h1>", _summary(rows, judged)]
    if judged:
        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
            pictures = [_scores(judged), _shares(tallies), _outcomes(tallies), _seconds(judged)]
        parts += [picture for picture in pictures if picture]
        parts += [_exercises(tallies), _mistakes(judged, tallies)]
    parts.append(_problems(rows))
    return page(f"{labs}: how the class did", "\n".join(filter(None, parts)))


def _tallies(judged: list[Graded]) -> dict[str, Tally]:
    """By exercise, in the order of the lab."""
    tallies: dict[str, Tally] = {}
    for one in judged:
        for report in one.reports:
            tally = tallies.setdefault(report.exercise, Tally(fit(report.title, 80), report.points))
            tally.got += report.score
            tally.outcomes[report.outcome] += 1
    return tallies


def _summary(rows: list[Graded], judged: list[Graded]) -> str:
    if not rows:
        return "<p>There is no submission.</p>"
    said = f"{len(rows):,} submission{'s' * (len(rows) != 1)}"
    if len(judged) < len(rows):
        said += f", {len(rows) - len(judged):,} of them not graded (see the problems)"
    levels = Counter(one.isolation for one in rows if one.isolation)
    isolation = ", ".join(f"{plain(level, 60)} ({count:,})" for level, count in sorted(levels.items()))
    return f"<p>{said}.</p>" + (f'<p class="soft">Isolation in force: {isolation}.</p>' if isolation else "")


def _picture(title: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(textwrap.fill(title, 110), x=0.01, horizontalalignment="left")
    draw(axes)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    data = b64encode(drawn.getvalue()).decode("ascii")
    return f'<figure><img alt="{escape(title)}" src="data:image/svg+xml;base64,{data}"></figure>'


def _scores(judged: list[Graded]) -> str:
    points = max(points_of(judged).values())
    if not points:
        return ""
    scores = [one.score for one in judged]
    middle = median(scores)
    if len(scores) == 1:
        title = f"The one submission has {number(middle)} of {number(points)} points"
    elif min(scores) == max(scores):
        title = f"All {len(scores):,} submissions have {number(middle)} of {number(points)} points"
    else:
        title = f"Half of the submissions have {number(middle)} or more of {number(points)} points"

    def draw(axes: Axes) -> None:
        bins = int(points) if points == int(points) and points <= 30 else 20
        axes.hist(scores, bins=bins, range=(0, points), color=BLUE, edgecolor="white")
        axes.axvline(middle, color=INK, linestyle="--", label=f"median {number(middle)}")
        axes.set(xlabel="score (points)", ylabel="submissions", xlim=(0, points))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper left")

    return _picture(title, (8, 3), draw)


def _occurring(tallies: Iterable[Tally]) -> dict[str, tuple[str, str]]:
    """The outcomes to show: that some cases were not tried is told only where it happened."""
    seen = {outcome for tally in tallies for outcome in tally.outcomes}
    return {outcome: look for outcome, look in OUTCOMES.items() if outcome != "not all tried" or outcome in seen}


def _labels(tallies: Sequence[Tally]) -> list[str]:
    return [textwrap.fill(tally.title, 32) for tally in tallies]


def _shares(tallies: dict[str, Tally]) -> str:
    ordered = sorted((tally for tally in tallies.values() if tally.points), key=lambda tally: tally.share)
    if not ordered:
        return ""
    hardest = ordered[0]
    title = f"Hardest: “{hardest.title}”, where the class got {hardest.share:.0f}% of the points"
    if hardest.share == 100:
        title = "The class got all points of every exercise"

    def draw(axes: Axes) -> None:
        bars = axes.barh(range(len(ordered)), [tally.share for tally in ordered], color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{tally.share:.0f}%" for tally in ordered], padding=3)
        axes.set_yticks(range(len(ordered)), _labels(ordered))
        axes.invert_yaxis()
        axes.set(xlabel="share of the points that the class got (%)", xlim=(0, 108), xticks=range(0, 101, 20))

    return _picture(title, (8, 1.2 + 0.5 * len(ordered)), draw)


def _outcomes(tallies: dict[str, Tally]) -> str:
    ordered = list(tallies.values())
    worst = max(ordered, key=lambda tally: tally.outcomes["incorrect"])
    wrong, total = worst.outcomes["incorrect"], worst.outcomes.total()
    title = f"“{worst.title}” has the most incorrect answers: {wrong:,} of {total:,}" if wrong else ""
    title = title or "No answer is incorrect"

    def draw(axes: Axes) -> None:
        most = max(tally.outcomes.total() for tally in ordered)
        start = [0] * len(ordered)
        for outcome, (colour, hatch) in _occurring(ordered).items():
            counts = [tally.outcomes[outcome] for tally in ordered]
            look = {"color": colour, "hatch": hatch, "edgecolor": "white", "height": 0.7}
            bars = axes.barh(range(len(ordered)), counts, left=start, label=outcome, **look)
            # A count is written where it has room.
            told = [f"{count:,}" if count > 0.04 * most else "" for count in counts]
            axes.bar_label(bars, told, label_type="center", color=INK)
            start = [before + count for before, count in zip(start, counts, strict=True)]
        axes.set_yticks(range(len(ordered)), _labels(ordered))
        axes.invert_yaxis()
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="submissions", xlim=(0, most))
        axes.figure.legend(loc="outside lower center", ncols=len(_occurring(ordered)))

    return _picture(title, (8, 1.6 + 0.5 * len(ordered)), draw)


def _seconds(judged: list[Graded]) -> str:
    seconds = [one.seconds for one in judged]
    title = f"Half of the submissions took {median(seconds):.2g} s or less to grade, the slowest {max(seconds):.2g} s"
    if len(seconds) == 1:
        title = f"The one submission took {seconds[0]:.2g} s to grade"

    def draw(axes: Axes) -> None:
        longest = max(seconds) or 1
        axes.hist(seconds, bins=min(30, 5 + len(seconds)), range=(0, longest), color=BLUE, edgecolor="white")
        axes.set(xlabel="time to grade one submission (s)", ylabel="submissions", xlim=(0, longest))
        axes.yaxis.get_major_locator().set_params(integer=True)

    return _picture(title, (8, 2.6), draw)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table. A name that begins with # is that of a column of numbers. Cells are HTML already."""
    kinds = [' class="number"' if name.startswith("#") else ' class="names"' for name in head]
    titles = "".join(f"<th{kind}>{name.removeprefix('#')}</th>" for name, kind in zip(head, kinds, strict=True))
    lines = ["".join(f"<td{kind}>{text}</td>" for text, kind in zip(row, kinds, strict=True)) for row in rows]
    return f'<table class="list"><tr>{titles}</tr>{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def _exercises(tallies: dict[str, Tally]) -> str:
    outcomes = _occurring(tallies.values())
    rows = [
        [
            escape(tally.title),
            f"{tally.share:.0f}%",
            number(tally.points),
            *(f"{tally.outcomes[outcome]:,}" for outcome in outcomes),
        ]
        for tally in tallies.values()
    ]
    head = ["exercise", "#share of points", "#points", *(f"#{outcome}" for outcome in outcomes)]
    return f"<section><h2>Exercise by exercise</h2>{_table(head, rows)}</section>"


def _mistakes(judged: list[Graded], tallies: dict[str, Tally]) -> str:
    found: defaultdict[tuple[str, str], Mistake] = defaultdict(Mistake)
    for one in judged:
        for report in one.reports:
            for case in report.cases:
                if case.state == "failed":
                    mistake = found[report.exercise, fit(case.message, 400)]
                    mistake.students[one.student] = None
                    mistake.cases[case.name] = None
                    if case.got:
                        mistake.got[fit(case.got, 200)] += 1
    if not found:
        return "<section><h2>Commonest wrong answers</h2><p>No case failed.</p></section>"
    place = {exercise: number for number, exercise in enumerate(tallies)}
    ordered = sorted(found.items(), key=lambda item: (-len(item[1].students), place[item[0][0]], item[0]))
    rows = [
        [
            f"{len(mistake.students):,}",
            _told(tallies[exercise].title, message, mistake),
            _some(list(mistake.students), NAMED, lambda student: plain(student, 60), ", "),
        ]
        for (exercise, message), mistake in ordered[:WRONG]
    ]
    more = f"<p>{len(ordered) - WRONG:,} rarer ones are not shown.</p>" if len(ordered) > WRONG else ""
    head = ["#students", "exercise and what did not hold; the message; what came back most often", "who"]
    said = "<p>Failed cases with the same message, the most frequent first.</p>"
    return f"<section><h2>Commonest wrong answers</h2>{said}{_table(head, rows)}{more}</section>"


def _told(title: str, message: str, mistake: Mistake) -> str:
    cases = _some(sorted(mistake.cases), CASES, lambda case: prose(fit(case, 300)), "; ")
    lines = [f'<b>{escape(title)}</b> <span class="soft">{cases}</span>', prose(message)]
    return "<br>".join([*lines, f"<code>{escape(mistake.example)}</code>"] if mistake.example else lines)


def _some(texts: Sequence[str], limit: int, html: Callable[[str], str], between: str) -> str:
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return between.join(map(html, texts[:limit])) + more


def _problems(rows: list[Graded]) -> str:
    told = [one for one in rows if one.problem]
    if not told:
        return ""
    lines = [
        [plain(one.student, 100), prose(fit(one.problem, 400)), f"<code>{plain(one.origin, 200)}</code>"]
        for one in told[:PROBLEMS]
    ]
    more = f"<p>{len(told) - PROBLEMS:,} more stand in gradebook.csv.</p>" if len(told) > PROBLEMS else ""
    return f"<section><h2>Problems</h2>{_table(['student', 'problem', 'found at'], lines)}{more}</section>"
