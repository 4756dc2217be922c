"""A GitHub workflow's text as plain data, and whether an event starts it."""

from __future__ import annotations

import fnmatch
from typing import Any

import yaml

MAX_TEXT = 40_000


class NotRehearsed(ValueError):
    """The text is no workflow, or holds what is not known here; the message says where and what."""


def load(text: str) -> dict[str, Any]:
    """The workflow as plain data. The key `on`, which YAML 1.1 reads as true, is a text again.

    Raises:
        NotRehearsed: it is no YAML, or no mapping, or uses aliases, or is very long.
    """
    if len(text) > MAX_TEXT:
        raise NotRehearsed(f"the text is longer than {MAX_TEXT:,} characters")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise NotRehearsed("aliases (`*name`) are not supported here; write the part out")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, NotRehearsed):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise NotRehearsed(f"this is no YAML: {where}{getattr(error, 'problem', None) or error}") from error
    if not isinstance(found, dict):
        raise NotRehearsed("a workflow is a mapping with `on` and `jobs`")
    found = {("on" if key is True else str(key)): value for key, value in found.items()}
    if not isinstance(found.get("jobs"), dict) or not found["jobs"]:
        raise NotRehearsed("there are no `jobs`")
    for name, job in found["jobs"].items():
        if not isinstance(job, dict):
            raise NotRehearsed(f"job {name}: a mapping is expected")
    return found


def starts(on: Any, event: str, branch: str) -> bool:
    """Whether the event starts a workflow with this `on`. `branch` is the one pushed to, or a pull request's base."""
    if isinstance(on, str | list):
        return event in ([on] if isinstance(on, str) else on)
    if not isinstance(on, dict) or event not in on:
        return False
    rules = on[event] or {}
    if not isinstance(rules, dict):
        raise NotRehearsed(f"on.{event}: a mapping is expected")
    wanted, ignored = (texts(rules.get(key)) for key in ("branches", "branches-ignore"))
    if wanted and not any(fnmatch.fnmatchcase(branch, pattern) for pattern in wanted):
        return False
    if event == "push" and not wanted and rules.get("tags"):
        return False
    return not any(fnmatch.fnmatchcase(branch, pattern) for pattern in ignored)


def texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) else [str(one) for one in value]
