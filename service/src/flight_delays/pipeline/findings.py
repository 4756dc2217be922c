"""What a check found, in a form that a person, a log and a program can read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import overload

WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: what was looked at, in few words.
        passed: whether it is within the limit.
        found: the figure, with its unit.
        limit: what it was held against.
        reason: for a failure, why it matters and what to do; empty for a pass.
        group: the part of the gate or of the data tests that the check belongs to.
    """

    check: str
    passed: bool
    found: str
    limit: str
    reason: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        if not self.passed and not self.reason:
            raise ValueError(f"{self.check}: a finding that fails needs a reason")

    def sentence(self) -> str:
        """Say in one line what was found and, for a failure, why it matters."""
        text = f"{self.check}: found {self.found}, limit {self.limit}"
        return f"{text}. {self.reason}" if self.reason else text


class Findings(Sequence[Finding]):
    """Findings in the order in which the checks ran. Two lists are joined by `+`."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._findings = tuple(findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Findings: ...
    def __getitem__(self, index: int | slice) -> Finding | Findings:
        found = self._findings[index]
        return Findings(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __add__(self, other: Iterable[Finding]) -> Findings:
        return Findings((*self._findings, *other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Findings) and self._findings == other._findings

    def __hash__(self) -> int:
        return hash(self._findings)

    def __repr__(self) -> str:
        return f"Findings({list(self._findings)!r})"

    @property
    def passed(self) -> bool:
        """Whether there is a finding at all and every one of them passed."""
        return bool(self._findings) and not self.failed

    @property
    def failed(self) -> Findings:
        """The findings that did not pass."""
        return Findings(finding for finding in self._findings if not finding.passed)

    @property
    def reasons(self) -> list[str]:
        """One sentence for each failure, in order."""
        return [finding.sentence() for finding in self.failed]

    def group(self, name: str) -> Findings:
        """The findings of one group."""
        return Findings(finding for finding in self._findings if finding.group == name)

    def to_json(self) -> list[dict[str, str | bool]]:
        """Return one dict a finding, ready for `json.dumps`."""
        return [asdict(finding) for finding in self._findings]

    @classmethod
    def from_json(cls, rows: Iterable[dict[str, str | bool]]) -> Findings:
        """Read what `to_json` returned."""
        return cls(Finding(**row) for row in rows)

    def to_table(self) -> str:
        """Return aligned plain text: a line a finding, the reason of a failure below its line."""
        rows = [
            ("ok" if f.passed else "FAILED", f.group, f.check, f.found, f.limit)
            for f in self._findings
        ]
        head = ("", "group", "check", "found", "limit")
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
        lines = [_line(head, widths)]
        for finding, row in zip(self._findings, rows, strict=True):
            lines.append(_line(row, widths))
            lines += textwrap.wrap(
                finding.reason, WIDTH, initial_indent="        ", subsequent_indent="        "
            )
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return a Markdown table, and below it a list of the reasons."""
        lines = ["| | group | check | found | limit |", "|---|---|---|---|---|"]
        for f in self._findings:
            cells = ("ok" if f.passed else "**failed**", f.group, f.check, f.found, f.limit)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        if self.failed:
            lines += ["", *(f"- **{f.check}**: {f.reason}" for f in self.failed)]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=True)]
    return "  ".join([*padded, cells[-1]]).rstrip()
