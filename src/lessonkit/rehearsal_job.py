"""One job of a rehearsed workflow: its steps, their conditions and shells, and what its actions do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lessonkit import standins
from lessonkit.workflow_expressions import ExpressionError, fill, holds
from lessonkit.workflow_text import NotRehearsed

STEP_S = 20
_DEFAULT_SHELL = ["bash", "-e"]  # GitHub's, where a step names no shell: no pipefail
_SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"], "sh": ["sh", "-e"]}


@dataclass
class Stage:
    """A temporary folder with the stand-ins and their log."""

    folder: Path
    seen: int = 0

    def run(self, shell: list[str], script: str, where: Path, env: Mapping[str, str]) -> tuple[int, list[str]]:
        """The exit code and the last lines."""
        file = self.folder / "script.sh"
        file.write_text(script if script.endswith("\n") else script + "\n", encoding="utf-8", newline="\n")
        path = os.pathsep.join([str(self.folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        basic = {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", "CI": "true"}
        command = [part.replace("{0}", str(file)) for part in shell]
        command = command if any("{0}" in part for part in shell) else [*command, str(file)]
        try:
            done = subprocess.run(
                command,
                cwd=where,
                env={**basic, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=STEP_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, [f"still running after {STEP_S} s"]
        except OSError as error:
            return 127, [str(error)]
        lines = done.stdout.decode(errors="replace").splitlines()
        return done.returncode, [line.replace(str(self.folder), "") for line in lines[-3:]]

    def new_calls(self) -> list[standins.Call]:
        """What was called since the last time."""
        found = standins.calls(self.folder / "log")
        new, self.seen = found[self.seen :], len(found)
        return new


@dataclass
class Run:
    """What the jobs of one run share: where they run, what is checked out, and what came of them so far."""

    workflow: dict[str, Any]
    stage: Stage
    github: dict[str, Any]
    files: dict[str, str]
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@dataclass
class JobRun:
    """One job of a run, in a workspace of its own."""

    of: Run
    name: str
    job: dict[str, Any]
    contexts: dict[str, Any]
    above: set[str]
    failed: bool = False

    def run(self, steps: list[dict[str, Any]]) -> str:
        """Run the steps; gives the job's result."""
        self._work = self.of.stage.folder / f"work-{self.name}"
        self._own = self.of.stage.folder / f"job-{self.name}"
        self._work.mkdir()
        self._own.mkdir()
        self._seen: dict[str, Any] = {}
        self.contexts["steps"] = self._seen
        self._env = self._filled(self.of.workflow.get("env"), "env") | self._filled(self.job.get("env"), "env")
        for number, step in enumerate(steps, 1):
            self._step(step, f"job {self.name}, step {number}")
        named = self._filled(self.job.get("outputs"), f"job {self.name}, outputs")
        self.of.outputs[self.name] = named
        return "failure" if self.failed else "success"

    @property
    def _functions(self) -> dict[str, Any]:
        return {
            "success": lambda: not self.failed,
            "failure": lambda: self.failed,
            "always": lambda: True,
            "cancelled": lambda: False,
        }

    def _filled(self, values: Any, where: str) -> dict[str, str]:
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise NotRehearsed(f"{where}: a mapping is expected")
        return {
            str(name): understood(where, lambda value=value: fill(_plain(value), self.contexts, self._functions))
            for name, value in values.items()
        }

    def _step(self, step: dict[str, Any], where: str) -> None:
        self.contexts["env"] = self._env
        self.contexts["job"] = {"status": "failure" if self.failed else "success"}
        runs = understood(where, lambda: holds(step.get("if"), self.contexts, self._functions))
        outcome, outputs = "skipped", {}
        if runs and "run" in step:
            outcome, outputs = self._command(step, where)
        elif runs and "uses" in step:
            outcome = self._use(step, where)
        elif runs:
            raise NotRehearsed(f"{where}: neither `run` nor `uses`")
        wanted = step.get("continue-on-error", False)
        wanted = understood(where, lambda: fill(_plain(wanted), self.contexts, self._functions))
        forgiven = outcome == "failure" and wanted.lower() == "true"
        self.failed = self.failed or (outcome == "failure" and not forgiven)
        if step.get("id"):
            conclusion = "success" if forgiven else outcome
            self._seen[str(step["id"])] = {"outcome": outcome, "conclusion": conclusion, "outputs": outputs}

    def _command(self, step: dict[str, Any], where: str) -> tuple[str, dict[str, str]]:
        defaults = self._defaults()
        shell = step.get("shell", defaults.get("shell"))
        command = _DEFAULT_SHELL if shell is None else _SHELLS.get(str(shell)) or str(shell).split()
        if shell is not None and str(shell) not in _SHELLS and "{0}" not in str(shell):
            raise NotRehearsed(f"{where}: the shell `{shell}` is not known to this rehearsal")
        env = self._env | self._filled(step.get("env"), where)
        output = self._own / "output"
        output.write_text("")
        notes = {name: str(self._own / name.lower()) for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        notes |= {"GITHUB_OUTPUT": str(output), "REHEARSAL_JOB": str(self._own), "GITHUB_WORKSPACE": str(self._work)}
        notes |= {f"GITHUB_{name.upper()}": str(self.of.github[name]) for name in ("ref", "ref_name", "sha")}
        script = understood(where, lambda: fill(_plain(step["run"]), self.contexts, self._functions))
        place = self._work / str(step.get("working-directory", defaults.get("working-directory", ".")))
        code, said = self.of.stage.run(command, script, place, {**notes, **env})
        self.of.calls += [told(call, self.name) for call in self.of.stage.new_calls()]
        self._env |= _assignments(Path(notes["GITHUB_ENV"]))
        if code:
            self.of.said.append(f"{where}: exit code {code}: {' / '.join(said)}")
        return ("failure" if code else "success"), _assignments(output)

    def _defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in (self.of.workflow, self.job):
            named = part.get("defaults")
            named = named.get("run") if isinstance(named, dict) else None
            found |= named if isinstance(named, dict) else {}
        return found

    def _use(self, step: dict[str, Any], where: str) -> str:
        """What an action does here: a checkout brings the files, artifacts are kept and brought, others do nothing."""
        name = str(step["uses"]).partition("@")[0].lower()
        options = self._filled(step.get("with"), where)
        artifact = options.get("name", "artifact").replace("/", "-")
        if name == "actions/checkout":
            put(self.of.files, self._work)
        elif name == "actions/upload-artifact":
            hidden = options.get("include-hidden-files", "false").lower() == "true"
            return self._keep(options.get("path", ""), self._artifacts(self.name) / artifact, where, hidden)
        elif name == "actions/download-artifact":
            return self._bring(artifact, options.get("path", "."), where)
        return "success"

    def _keep(self, paths: str, kept: Path, where: str, hidden: bool) -> str:
        """As upload-artifact does: one folder is kept by what lies in it, hidden ones only where that is asked for."""
        names = [path.strip().rstrip("/*") for path in paths.splitlines() if path.strip()]
        shown = [name for name in names if hidden or not re.search(r"(^|/)\.[^/.]", name)]
        found = [self._work / name for name in shown if (self._work / name).exists()]
        if not found:
            self.of.said.append(f"{where}: no files were found at {paths!r}")
            return "success"  # upload-artifact warns
        kept.mkdir(parents=True, exist_ok=True)
        for source in found:
            alone = source.is_dir() and len(found) == 1
            if source.is_dir():
                shutil.copytree(source, kept if alone else kept / source.name, dirs_exist_ok=True)
            else:
                shutil.copy(source, kept)
        return "success"

    def _artifacts(self, job: str) -> Path:
        return self.of.stage.folder / "artifacts" / job

    def _bring(self, artifact: str, path: str, where: str) -> str:
        """From the jobs that this one waits for: another may not have begun yet."""
        found = [self._artifacts(job) / artifact for job in sorted(self.above)]
        kept = next((folder for folder in found if folder.is_dir()), None)
        if kept is None:
            self.of.said.append(f"{where}: no job before this one has kept an artifact {artifact!r}")
            return "failure"
        shutil.copytree(kept, self._work / path, dirs_exist_ok=True)
        return "success"


def understood(where: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ExpressionError as error:
        raise NotRehearsed(f"{where}: {error}") from error


def _plain(value: Any) -> str:
    """A YAML value as a step sees it."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def put(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def _assignments(file: Path) -> dict[str, str]:
    """The lines `name=value` of a file of outputs."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {name.strip(): value for name, sign, value in (line.partition("=") for line in lines) if sign}


def told(call: standins.Call, job: str) -> dict[str, Any]:
    return {"line": call.line, "job": job, "secret": call.secret}
