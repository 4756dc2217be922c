"""A rehearsal, or a run by act, told in a line; where it cannot be had, the line says what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lessonkit import act_run
from lessonkit.rehearsal import FILES, NoShell, rehearse, rehearse_script


def rehearsed(text: str, **scene: Any) -> str:
    """How a workflow's rehearsal ends, and what it calls; `scene` as for `rehearse`."""
    try:
        seen = rehearse(text, **scene)
    except NoShell as lack:
        return f"not rehearsed: {lack}"
    if not seen["started"]:
        return "not started"
    return _told("green" if seen["green"] else "red", (call["line"] for call in seen["calls"]))


def script_rehearsed(text: str, **scene: Any) -> str:
    """How a script's rehearsal ends, and what it calls; `scene` as for `rehearse_script`."""
    try:
        seen = rehearse_script(text, **scene)
    except NoShell as lack:
        return f"not rehearsed: {lack}"
    return _told(f"exit code {seen['code']}", (call["line"] for call in seen["calls"]))


def acted(text: str, fails: str = "", files: dict[str, str] = FILES) -> str:
    """How a run by act ends, and what it calls."""
    lack = act_run.missing()
    if lack:
        return f"not tried with act: {lack}"
    run = act_run.by_act(text, fails, files)
    return _told("green" if run.green else "red", run.lines)


def _told(end: str, lines: Iterable[str]) -> str:
    return f"{end}: " + " → ".join(_short(line) for line in lines)


def _short(line: str) -> str:
    """A stage by its name, another command by its first two words."""
    words = line.split()
    return words[-1] if "flight_delays" in words else " ".join(words[:2])
