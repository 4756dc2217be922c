"""Rehearse a GitHub workflow: its real commands in a real shell, with stand-ins for what they call.

    seen = rehearse(text, fails="pipeline validate")
    seen["jobs"]    # {"deliver": "failure"}
    seen["calls"]   # [{"line": "python -m flight_delays pipeline test", "job": "deliver", "secret": False}, ...]

Which job and step runs is decided as GitHub decides it: events and branches, `needs`, `if`, `continue-on-error`, the
shell with its options. What is not known here (matrix, services, reusable workflows) is refused. It is no runner:
nothing is downloaded, and an action does nothing but what is written in `_use`.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lessonkit import standins
from lessonkit.workflow_expressions import ExpressionError, fill, holds

SECRET = "k3y-of-the-service"
STEP_S = 20
MAX_TEXT = 40_000
FILES = {
    "pipeline.toml": "as_of = 2013-07-31\n",
    "requirements.lock": "flight-delays==1.0\n",
    "Dockerfile": "FROM scratch\n",
    "tests/test_model.py": "def test_model(): ...\n",
}
_DEFAULT_SHELL = ["bash", "-e"]  # GitHub's, where a step names no shell: no pipefail
_SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"], "sh": ["sh", "-e"]}


class NotRehearsed(ValueError):
    """The text is no workflow, or holds what is not known here; the message says where and what."""


class NoShell(RuntimeError):
    """There is no bash on this machine."""


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
    wanted, ignored = (_texts(rules.get(key)) for key in ("branches", "branches-ignore"))
    if wanted and not any(fnmatch.fnmatchcase(branch, pattern) for pattern in wanted):
        return False
    if event == "push" and not wanted and rules.get("tags"):
        return False
    return not any(fnmatch.fnmatchcase(branch, pattern) for pattern in ignored)


def rehearse(
    text: str, event: str = "push", branch: str = "main", fails: str = "", files: Mapping[str, str] = FILES
) -> dict[str, Any]:
    """Run a workflow for one event.

    Args:
        event: `push`, `pull_request`, `schedule` or `workflow_dispatch`.
        branch: the one pushed to; a pull request comes from it and goes to main.
        fails: the command whose line contains this text fails; "" for none.
        files: what a checkout brings.

    Returns:
        `started` (bool), `jobs` {job: result}, `calls` [{line, job, secret}], `green` (bool), and `said`, the last
        lines of each step that failed. Every secret that the workflow asks for has the value SECRET.

    Raises:
        NotRehearsed: the text is no workflow, or one that is not understood here.
        NoShell: there is no bash.
    """
    workflow = load(text)
    base = "main" if event == "pull_request" else branch
    if not starts(workflow.get("on"), event, base):
        return {"started": False, "jobs": {}, "calls": [], "green": True, "said": []}
    with _stage(fails) as stage:
        run = _Run(workflow, stage, _github(event, branch), dict(files))
        run.all_jobs()
        return {
            "started": True,
            "jobs": run.results,
            "calls": run.calls,
            "green": "failure" not in run.results.values(),
            "said": run.said,
        }


def rehearse_script(text: str, fails: str = "", files: Mapping[str, str] = FILES) -> dict[str, Any]:
    """Run a shell script with `bash FILE` in a checkout, everything installed: `calls`, `code` and `said`."""
    with _stage(fails) as stage:
        _put(files, stage.folder / "work")
        (stage.folder / "job").mkdir()
        (stage.folder / "job/installed").touch()
        code, said = stage.run(["bash"], text, stage.folder / "work", {"REHEARSAL_JOB": str(stage.folder / "job")})
        return {"calls": [_told(call, "") for call in stage.new_calls()], "code": code, "said": said}


@dataclass
class _Stage:
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


@contextmanager
def _stage(fails: str) -> Iterator[_Stage]:
    if not standins.shell():
        raise NoShell("bash was not found on this machine, so the commands cannot be run")
    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        (folder / "work").mkdir()
        standins.write(folder / "bin", folder / "log", secret=SECRET, fails=fails)
        yield _Stage(folder)


@dataclass
class _Run:
    """One run of a workflow."""

    workflow: dict[str, Any]
    stage: _Stage
    github: dict[str, Any]
    files: dict[str, str]
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def all_jobs(self) -> None:
        jobs: dict[str, dict[str, Any]] = self.workflow["jobs"]
        needs = {str(name): _texts(job.get("needs")) for name, job in jobs.items()}
        for name, wanted in needs.items():
            unknown = [one for one in wanted if one not in needs]
            if unknown:
                raise NotRehearsed(f"job {name} needs {unknown[0]}, and there is no such job")
        while len(self.results) < len(jobs):
            ready = [name for name in needs if name not in self.results and set(needs[name]) <= set(self.results)]
            if not ready:
                raise NotRehearsed("the jobs need each other in a circle")
            self._job(ready[0], jobs[ready[0]], needs)

    def _above(self, name: str, needs: Mapping[str, list[str]]) -> set[str]:
        found: set[str] = set()
        for one in needs[name]:
            found |= {one} | self._above(one, needs)
        return found

    def _job(self, name: str, job: dict[str, Any], needs: Mapping[str, list[str]]) -> None:
        for key in ("strategy", "uses", "services", "container"):
            if key in job:
                raise NotRehearsed(f"job {name}: `{key}` is not known to this rehearsal")
        before = [self.results[one] for one in needs[name]]
        above = self._above(name, needs)
        functions = {
            "success": lambda: all(result == "success" for result in before),
            "failure": lambda: "failure" in [self.results[one] for one in above],
            "always": lambda: True,
            "cancelled": lambda: False,
        }
        contexts = self._contexts()
        contexts["needs"] = {
            one: {"result": self.results[one], "outputs": self.outputs.get(one, {})} for one in needs[name]
        }
        if not _understood(f"job {name}", lambda: holds(job.get("if"), contexts, functions)):
            self.results[name] = "skipped"
            return
        steps = job.get("steps")
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise NotRehearsed(f"job {name}: `steps` must be a list of mappings")
        self.results[name] = _JobRun(self, name, job, contexts, above).run(steps)

    def _contexts(self) -> dict[str, Any]:
        names = {"job": {"status": "success"}, "runner": {"os": "Linux", "temp": "/tmp"}, "vars": {}, "inputs": {}}
        empty: dict[str, Any] = {"needs": {}, "steps": {}, "env": {}, "matrix": {}, "strategy": {}}
        return {"github": self.github, "secrets": _secret, **names, **empty}


def _secret(name: str) -> str:
    """Every secret is there, and all have one value, so that it is recognised. The token is GitHub's own."""
    return "token" if name.upper() == "GITHUB_TOKEN" else SECRET


@dataclass
class _JobRun:
    """One job of a run, in a workspace of its own."""

    run_: _Run
    name: str
    job: dict[str, Any]
    contexts: dict[str, Any]
    above: set[str]
    failed: bool = False

    def run(self, steps: list[dict[str, Any]]) -> str:
        """Run the steps; gives the job's result."""
        self._work = self.run_.stage.folder / f"work-{self.name}"
        self._own = self.run_.stage.folder / f"job-{self.name}"
        self._work.mkdir()
        self._own.mkdir()
        self._seen: dict[str, Any] = {}
        self.contexts["steps"] = self._seen
        self._env = self._filled(self.run_.workflow.get("env"), "env") | self._filled(self.job.get("env"), "env")
        for number, step in enumerate(steps, 1):
            self._step(step, f"job {self.name}, step {number}")
        named = self._filled(self.job.get("outputs"), f"job {self.name}, outputs")
        self.run_.outputs[self.name] = named
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
            str(name): _understood(where, lambda value=value: fill(_plain(value), self.contexts, self._functions))
            for name, value in values.items()
        }

    def _step(self, step: dict[str, Any], where: str) -> None:
        self.contexts["env"] = self._env
        self.contexts["job"] = {"status": "failure" if self.failed else "success"}
        runs = _understood(where, lambda: holds(step.get("if"), self.contexts, self._functions))
        outcome, outputs = "skipped", {}
        if runs and "run" in step:
            outcome, outputs = self._command(step, where)
        elif runs and "uses" in step:
            outcome = self._use(step, where)
        elif runs:
            raise NotRehearsed(f"{where}: neither `run` nor `uses`")
        forgiven = outcome == "failure" and str(step.get("continue-on-error", False)).lower() == "true"
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
        notes |= {f"GITHUB_{name.upper()}": str(self.run_.github[name]) for name in ("ref", "ref_name", "sha")}
        script = _understood(where, lambda: fill(_plain(step["run"]), self.contexts, self._functions))
        place = self._work / str(step.get("working-directory", defaults.get("working-directory", ".")))
        code, said = self.run_.stage.run(command, script, place, {**notes, **env})
        self.run_.calls += [_told(call, self.name) for call in self.run_.stage.new_calls()]
        self._env |= _assignments(Path(notes["GITHUB_ENV"]))
        if code:
            self.run_.said.append(f"{where}: exit code {code}: {' / '.join(said)}")
        return ("failure" if code else "success"), _assignments(output)

    def _defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in (self.run_.workflow, self.job):
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
            _put(self.run_.files, self._work)
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
            self.run_.said.append(f"{where}: no files were found at {paths!r}")
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
        return self.run_.stage.folder / "artifacts" / job

    def _bring(self, artifact: str, path: str, where: str) -> str:
        """From the jobs that this one waits for: another may not have begun yet."""
        found = [self._artifacts(job) / artifact for job in sorted(self.above)]
        kept = next((folder for folder in found if folder.is_dir()), None)
        if kept is None:
            self.run_.said.append(f"{where}: no job before this one has kept an artifact {artifact!r}")
            return "failure"
        shutil.copytree(kept, self._work / path, dirs_exist_ok=True)
        return "success"


def _github(event: str, branch: str) -> dict[str, Any]:
    pull = event == "pull_request"
    return {
        "event_name": event,
        "ref": "refs/pull/7/merge" if pull else f"refs/heads/{branch}",
        "ref_name": "7/merge" if pull else branch,
        "ref_type": "branch",
        "head_ref": branch if pull else "",
        "base_ref": "main" if pull else "",
        "sha": "1f" * 20,
        "repository": "flights/service",
        "repository_owner": "flights",
        "actor": "somebody",
        "workflow": "pipeline",
        "run_id": "1",
        "run_number": "1",
        "token": "token",
        "event": {"repository": {"default_branch": "main"}, "ref": f"refs/heads/{branch}"},
    }


def _understood(where: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ExpressionError as error:
        raise NotRehearsed(f"{where}: {error}") from error


def _plain(value: Any) -> str:
    """A YAML value as a step sees it."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) else [str(one) for one in value]


def _put(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def _assignments(file: Path) -> dict[str, str]:
    """The lines `name=value` of a file of outputs."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {name.strip(): value for name, sign, value in (line.partition("=") for line in lines) if sign}


def _told(call: standins.Call, job: str) -> dict[str, Any]:
    return {"line": call.line, "job": job, "secret": call.secret}
