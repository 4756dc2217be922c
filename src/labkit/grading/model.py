"""The data that passes between the steps of grading."""

from __future__ import annotations

from dataclasses import dataclass, field

from labkit.exercise import Report


@dataclass(frozen=True)
class Submission:
    """One file that a student handed in.

    `content` is None when the file could not be taken; `problem` then says why, in a sentence for
    the student. `origin` is where it was found, relative to the folder or archive, for the
    instructor. `notes` are sentences for the student about which of several files was taken.
    """

    student: str
    origin: str
    content: bytes | None
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What is graded of a submission: the source of each answer cell, by exercise.

    An exercise whose answer cell is missing has no entry. `notes` are sentences for the student
    about what was odd and how it was treated. With a `problem`, nothing could be taken.
    """

    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Graded:
    """The result of one submission: a report for each exercise of the lab, in its order.

    `sha256` is that of what was graded, `isolation` the level that was in force ("namespaces",
    "process" or, when nothing was run, ""), `seconds` the wall time it took.
    """

    student: str
    lab: str
    origin: str
    sha256: str
    isolation: str
    seconds: float
    reports: tuple[Report, ...]
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def score(self) -> float:
        return round(sum(report.score for report in self.reports), 2)

    @property
    def points(self) -> float:
        return sum(report.points for report in self.reports)
