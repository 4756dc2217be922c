"""The commands that a CI file runs, in order, with the stage each belongs to.

Read are GitHub's workflows, GitLab's `.gitlab-ci.yml`, Azure's `azure-pipelines.yml` (by PyYAML) and a declarative
`Jenkinsfile` (by `lessonkit.jenkinsfile`). What would need the CI system itself, such as an included file or a
template, is refused and not guessed at.

    for step in read(Path("service/.gitlab-ci.yml")).steps:
        print(step.stage, step.command)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lessonkit import jenkinsfile

# A value that the CI system fills in: ${{ x }}, $(x), ${x}, $X.
FILLED_IN = re.compile(r"\$(\{|\(|[A-Za-z_])")


class CiFileError(ValueError):
    """The file cannot be read; the message names it and says what stood in the way."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes
    ----------
    stage
        What the system calls the part it belongs to: the job on GitHub, else the stage.
    name
        The step's own name, or the stage's where it has none.
    command
        The text that is handed to the shell, of one or more lines.
    environment
        The variables that the file gives it, with their values.
    filled_in
        The variables that the file gives it and the CI system fills in, such as a secret, as they are written.
    condition
        When it runs, as the file puts it, joined by " and "; "" is always.
    may_fail
        Whether what follows runs although it failed.
    """

    stage: str
    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    filled_in: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    may_fail: bool = False


@dataclass(frozen=True)
class CiFile:
    """A CI file: the system it is for, and its steps in the order in which they run."""

    system: str
    steps: tuple[Step, ...]

    @property
    def commands(self) -> list[str]:
        """The commands in order."""
        return [step.command for step in self.steps]

    @property
    def stages(self) -> dict[str, list[str]]:
        """Each stage and its commands, in order."""
        found: dict[str, list[str]] = {}
        for step in self.steps:
            found.setdefault(step.stage, []).append(step.command)
        return found


def read(path: Path) -> CiFile:
    """Read one of the four; its name, or its folder, says which.

    Raises
    ------
    CiFileError
        It is none of the four, is not well formed, or says something that only the CI system can resolve.
    OSError
        It cannot be opened.
    """
    system, steps_of = _reader(path)
    try:
        return CiFile(system, tuple(steps_of(path.read_text(encoding="utf-8"))))
    except yaml.YAMLError as error:
        raise CiFileError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from error
    except (CiFileError, jenkinsfile.JenkinsfileError) as error:
        raise CiFileError(f"{path.name}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise CiFileError(f"{path.name} is not built like a file of {system}: {error!r}") from error


def _reader(path: Path) -> tuple[str, Callable[[str], Iterator[Step]]]:
    if path.name == "Jenkinsfile":
        return "Jenkins", _jenkins
    if path.suffix in (".yml", ".yaml"):
        if path.stem == ".gitlab-ci":
            return "GitLab CI", _gitlab
        if path.stem == "azure-pipelines":
            return "Azure DevOps", _azure
        if path.parent.name == "workflows":
            return "GitHub Actions", _github
    raise CiFileError(
        f"{path.name} is none of the four: .github/workflows/NAME.yml, .gitlab-ci.yml, Jenkinsfile, azure-pipelines.yml"
    )


def _load(text: str) -> dict[str, Any]:
    document = yaml.safe_load(text)
    if not isinstance(document, dict):
        raise CiFileError(f"a mapping is expected, found {type(document).__name__}")
    return document


def _variables(*levels: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of all levels, the last wins: those with a value, and those that the CI system fills in."""
    merged = {name: str(value) for level in levels for name, value in (level or {}).items()}
    filled_in = {name: value for name, value in merged.items() if FILLED_IN.search(value)}
    return {name: value for name, value in merged.items() if name not in filled_in}, filled_in


def _both(*conditions: Any) -> str:
    return " and ".join(str(condition) for condition in conditions if condition)


def _true(part: dict[str, Any], name: str) -> bool:
    """Whether it is set; an expression may come out true and counts as set."""
    return str(part.get(name, False)).lower() != "false"


def _in_order(needs: Mapping[str, list[str]]) -> list[str]:
    """Names so that each comes after what it needs, else in the order of the file."""
    done: list[str] = []
    while len(done) < len(needs):
        ready = next((name for name in needs if name not in done and set(needs[name]) <= set(done)), None)
        if ready is None:
            raise CiFileError(
                f"no order: {', '.join(n for n in needs if n not in done)} wait for each other or for none"
            )
        done.append(ready)
    return done


def _names(value: Any) -> list[str]:
    """A name, a list of names or of mappings with a `job`, or nothing."""
    if value is None:
        return []
    return [one["job"] if isinstance(one, dict) else one for one in ([value] if isinstance(value, str) else value)]


# GitHub Actions


def _github(text: str) -> Iterator[Step]:
    document = _load(text)
    jobs = document["jobs"]
    for name in _in_order({name: _names(job.get("needs")) for name, job in jobs.items()}):
        job = jobs[name]
        if "uses" in job:
            raise CiFileError(f"job {name} calls the workflow {job['uses']}, which is not in this file")
        for step in job["steps"]:
            if "run" in step:
                variables = _variables(document.get("env"), job.get("env"), step.get("env"))
                condition = _both(job.get("if"), step.get("if"))
                may_fail = _true(job, "continue-on-error") or _true(step, "continue-on-error")
                yield Step(name, step.get("name", name), step["run"].strip(), *variables, condition, may_fail)


# GitLab CI

_NO_JOBS = {"default", "image", "include", "pages", "services", "spec", "stages", "variables", "workflow"}
_OLD_DEFAULTS = {"after_script", "before_script", "cache"}
_STAGES = [".pre", "build", "test", "deploy", ".post"]


def _gitlab(text: str) -> Iterator[Step]:
    document = _load(text)
    if "include" in document:
        raise CiFileError("it includes other files, which are not read here")
    default = {name: document[name] for name in _OLD_DEFAULTS if name in document} | document.get("default", {})
    jobs = {
        name: default | _extended(document, name)
        for name, job in document.items()
        if name not in _NO_JOBS | _OLD_DEFAULTS and not name.startswith(".") and isinstance(job, dict)
    }
    stages = [".pre", *document.get("stages", _STAGES), ".post"]
    for name, job in jobs.items():
        if job.get("stage", "test") not in stages:
            raise CiFileError(f"job {name} belongs to stage {job['stage']}, which is not among the stages")
    by_stage = sorted(jobs, key=lambda name: stages.index(jobs[name].get("stage", "test")))
    for name in _in_order({name: _names(jobs[name].get("needs")) for name in by_stage}):
        job = jobs[name]
        variables = _variables(document.get("variables"), job.get("variables"))
        condition = " or ".join(_rule(rule) for rule in job.get("rules", ()))
        for command in [*_lines(job.get("before_script")), *_lines(job["script"]), *_lines(job.get("after_script"))]:
            yield Step(job.get("stage", "test"), name, command, *variables, condition, bool(job.get("allow_failure")))


def _extended(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A job with what it extends: mappings are merged, anything else is replaced."""
    job = dict(document[name])
    merged: dict[str, Any] = {}
    for parent in _names(job.pop("extends", None)):
        merged = _merged(merged, _extended(document, parent))
    return _merged(merged, job)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(under)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else value
    return found


def _rule(rule: dict[str, Any]) -> str:
    return _both(rule.get("if"), f"when: {rule['when']}" if "when" in rule else "") or "always"


def _lines(script: Any) -> list[str]:
    """A script's commands; GitLab allows a text, a list, and lists in a list."""
    if script is None:
        return []
    if isinstance(script, str):
        return [script.strip()]
    return [command for part in script for command in _lines(part)]


# Azure DevOps

_SHELLS = ("script", "bash", "pwsh", "powershell")


def _azure(text: str) -> Iterator[Step]:
    document = _load(text)
    if "extends" in document:
        raise CiFileError("it extends a template, which is not in this file")
    stages = document.get("stages") or [{"stage": "pipeline", "jobs": _azure_jobs(document)}]
    previous: list[str] = []
    needs = {}
    for stage in map(_no_template, stages):
        needs[stage["stage"]] = _names(stage["dependsOn"]) if "dependsOn" in stage else previous
        previous = [stage["stage"]]
    by_name = {stage["stage"]: stage for stage in stages}
    for name in _in_order(needs):
        stage = by_name[name]
        jobs = {job.get("job") or job["deployment"]: job for job in map(_no_template, _azure_jobs(stage))}
        for job_name in _in_order({one: _names(job.get("dependsOn")) for one, job in jobs.items()}):
            job = jobs[job_name]
            for step in map(_no_template, _azure_steps(job)):
                command = next((step[shell] for shell in _SHELLS if shell in step), None)
                if command is None:
                    continue
                levels = [_azure_variables(level.get("variables")) for level in (document, stage, job)]
                condition = _both(stage.get("condition"), job.get("condition"), step.get("condition"))
                variables = _variables(*levels, step.get("env"))
                may_fail = _true(job, "continueOnError") or _true(step, "continueOnError")
                yield Step(name, step.get("displayName", job_name), command.strip(), *variables, condition, may_fail)


def _no_template(part: dict[str, Any]) -> dict[str, Any]:
    if "template" in part:
        raise CiFileError(f"it uses the template {part['template']}, which is not read here")
    return part


def _azure_jobs(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs of a stage; a file with nothing but steps has one job."""
    return stage["jobs"] if "jobs" in stage else [{"job": "job", "steps": stage["steps"]}]


def _azure_steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """A job's steps; a deployment has them under the hooks of its strategy."""
    if "steps" in job:
        return job["steps"]
    ((_, strategy),) = job["strategy"].items()
    hooks = ("preDeploy", "deploy", "routeTraffic", "postRouteTraffic")
    return [step for hook in hooks for step in (strategy.get(hook) or {}).get("steps", ())]


def _azure_variables(variables: Any) -> dict[str, str]:
    """Variables given as a mapping or as a list; a group's are known to Azure only."""
    if isinstance(variables, list):
        return {one["name"]: one["value"] for one in variables if "name" in one}
    return variables or {}


# Jenkins


def _jenkins(text: str) -> Iterator[Step]:
    for shell in jenkinsfile.shells(text):
        variables, condition = _variables(shell.environment), _both(*shell.when)
        yield Step(shell.stage, shell.stage, shell.command, *variables, condition, shell.may_fail)
