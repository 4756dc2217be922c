"""Change one setting of a TOML file and leave everything else in it as it is, comments too."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any


def with_setting(text: str, name: str, value: Any) -> str:
    """The text of a TOML file with one setting changed, or added at the end of its section.

    Parameters
    ----------
    name
        Such as `as_of`, or `model.threshold` for the setting of a section.
    value
        A number, a truth value, text, a list of text, or a day as `datetime.date`.

    Raises
    ------
    ValueError
        There is no such section.
    """
    section, _, key = name.rpartition(".")
    lines = text.splitlines()
    start, end = _section(lines, section)
    written = f"{key} = {_written(value)}"
    for at in range(start, end):
        found = re.match(rf"{re.escape(key)}\s*=\s*([^#]*?)\s*(#.*)?$", lines[at])
        if found:
            last = at
            while not _complete("\n".join(lines[at : last + 1])):
                last += 1
            comment = f" {found[2]}" if found[2] and last == at else ""
            lines[at : last + 1] = [written + comment]
            break
    else:
        while end > start and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, written)
    return "\n".join(lines) + "\n"


def _section(lines: list[str], section: str) -> tuple[int, int]:
    """The lines of a section, without its heading; those above every heading for the empty name."""
    headings = [at for at, line in enumerate(lines) if re.match(r"\[[^\]]+\]\s*(#.*)?$", line)]
    if section:
        start = next((at + 1 for at in headings if lines[at].startswith(f"[{section}]")), None)
        if start is None:
            raise ValueError(f"[{section}]: there is no such section")
    else:
        start = 0
    return start, next((at for at in headings if at >= start), len(lines))


def _complete(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _written(value: Any) -> str:
    if isinstance(value, str | bool | list):
        return json.dumps(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
